package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
	"github.com/ringctl/ringctl/cmd/ringctl/settings"
)

// buildInfo is what the binary knows of itself: a document of kind Version.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readBuild() buildInfo {
	b := buildInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		Example: "  ringctl version\n  ringctl version -o json",
		RunE: func(*cobra.Command, []string) error {
			b := readBuild()
			t := &render.Table{Columns: []render.Column{{Title: "VERSION"}, {Title: "REVISION"}, {Title: "GO"}, {Title: "PLATFORM"}}}
			t.Add(b.Version, b.Revision, b.Go, b.Platform)
			return a.print(&render.Document{Kind: "Version", Data: b, Table: t, Names: []string{b.Version}})
		},
	}
}

// bashWords stands in for the package bash-completion, which small machines do not have: it splits the line at blanks.
const bashWords = `if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        local line="${COMP_LINE:0:COMP_POINT}"
        read -ra words <<<"$line"
        [[ "$line" == *[[:space:]] ]] && words+=("")
        cword=$((${#words[@]} - 1))
        cur="${words[cword]}"
        prev="${words[cword - 1]}"
    }
fi

`

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a completion script; it completes rings, members and partitions live",
		Long: `Print a completion script for a shell. Names of rings, members, partitions and owners are completed from the cluster itself,
with at most two seconds of patience.`,
		Example:   "  source <(ringctl completion bash)\n  ringctl completion zsh > \"${fpath[1]}/_ringctl\"\n  ringctl completion fish > ~/.config/fish/completions/ringctl.fish",
		Args:      cobra.MatchAll(arity, cobra.OnlyValidArgs),
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			root, out := c.Root(), a.env.Stdout
			switch args[0] {
			case "bash":
				if _, err := io.WriteString(out, bashWords); err != nil {
					return err
				}
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			default:
				return root.GenPowerShellCompletionWithDesc(out)
			}
		},
	}
}

func (a *app) manCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "man", Short: "Print the manual page, or write all of them to a folder",
		Example: "  ringctl man | man -l -\n  ringctl man --dir /usr/local/share/man/man1",
		RunE: func(c *cobra.Command, _ []string) error {
			c.Root().DisableAutoGenTag = true
			// A fixed date makes the pages the same on every machine.
			date := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
			header := &doc.GenManHeader{Title: "RINGCTL", Section: "1", Date: &date, Source: "ringctl", Manual: "ringctl manual"}
			if dir != "" {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return fmt.Errorf("write manual: %w", err)
				}
				return doc.GenManTree(c.Root(), header, dir)
			}
			var out bytes.Buffer
			if err := doc.GenMan(c.Root(), header, &out); err != nil {
				return fmt.Errorf("write manual: %w", err)
			}
			_, err := a.env.Stdout.Write(out.Bytes())
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "write one page per command into this `folder`")
	return c
}

func (a *app) contextCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "context", Short: "Clusters by name: list, use, set, remove",
		Long: `A context is a cluster by name: where to ask, its label and TLS files, its product and settings. The current one is used when no
--seeds, --http or --context is given. Contexts are kept in ` + "`$XDG_CONFIG_HOME/ringctl/config.yaml`" + `. A read-only context refuses every change.`,
		Example: "  ringctl context set prod --seeds dns+gossip.tempo.svc:7946 --label prod --product tempo --read-only\n  ringctl context use prod\n  ringctl context list",
		Args:    a.unknown,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.contextList(), a.contextUse(), a.contextSet(), a.contextRemove())
	// A broken or missing context must not keep these from repairing it.
	c.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		var err error
		if a.format, err = render.ParseFormat(a.flags.output); err != nil {
			return usage("%w", err)
		}
		return nil
	}
	return c
}

// contextItem is one context: a document of kind ContextList.
type contextItem struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	settings.Context
}

func (a *app) contextList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the contexts", Example: "  ringctl context list -o wide",
		RunE: func(*cobra.Command, []string) error {
			file, err := a.dirs.Load()
			if err != nil {
				return err
			}
			t := &render.Table{Columns: []render.Column{{Title: "CURRENT"}, {Title: "NAME"}, {Title: "WHERE"}, {Title: "LABEL"}, {Title: "PRODUCT"}, {Title: "READ-ONLY"}, {Title: "TLS", Wide: true}}}
			items := []contextItem{}
			d := &render.Document{Kind: "ContextList", Table: t, Names: file.Names()}
			for _, name := range file.Names() {
				x := file.Contexts[name]
				items = append(items, contextItem{Name: name, Current: name == file.Current, Context: x})
				current := ""
				if name == file.Current {
					current = "*"
				}
				t.Add(current, name, strings.Join(append(x.Seeds, x.HTTP...), ","), x.Label, x.Product, document.YesNo(x.ReadOnly), document.YesNo(x.TLS != settings.TLS{}))
			}
			d.Data = items
			return a.print(d)
		},
	}
}

func (a *app) contextUse() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", ValidArgsFunction: a.completeContexts,
		Example: "  ringctl context use prod",
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := a.dirs.Load()
			if err != nil {
				return err
			}
			if err := knownContext(file, args[0]); err != nil {
				return err
			}
			file.Current = args[0]
			if err := a.dirs.Save(file); err != nil {
				return err
			}
			a.say("now using context %s", args[0])
			return nil
		},
	}
}

func knownContext(file *settings.File, name string) error {
	if _, ok := file.Contexts[name]; ok {
		return nil
	}
	e := &client.Error{Code: client.CodeNotFound, Op: "context " + name, Err: errors.New("no such context"), Hint: "ringctl context list shows them"}
	if near := client.Nearest(name, file.Names()); len(near) > 0 {
		e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	return e
}

func (a *app) contextRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a context", ValidArgsFunction: a.completeContexts,
		Example: "  ringctl context remove old",
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := a.dirs.Load()
			if err != nil {
				return err
			}
			if err := knownContext(file, args[0]); err != nil {
				return err
			}
			delete(file.Contexts, args[0])
			if file.Current == args[0] {
				file.Current = ""
			}
			return a.dirs.Save(file)
		},
	}
}

func (a *app) contextSet() *cobra.Command {
	var readOnly bool
	c := &cobra.Command{
		Use: "set NAME", Short: "Create or change a context from the flags given", ValidArgsFunction: a.completeContexts,
		Long: `Create or change a context. Only the flags given are changed: --seeds, --http, --label, --product, --tls-*, --timeout,
--heartbeat-timeout and --read-only. The first context becomes the current one.`,
		Example: "  ringctl context set prod --seeds 10.0.0.5:7946,10.0.0.6:7946 --label prod --product tempod\n  ringctl context set prod --read-only",
		RunE: func(c *cobra.Command, args []string) error {
			file, err := a.dirs.Load()
			if err != nil {
				return err
			}
			x := file.Contexts[args[0]]
			if !a.changeContext(c, &x, readOnly) {
				return usage("nothing is said about context %s: give --seeds or --http, or what else should change", args[0])
			}
			if len(x.Seeds) > 0 && len(x.HTTP) > 0 {
				return usage("a context has either seeds or HTTP addresses")
			}
			file.Contexts[args[0]] = x
			if file.Current == "" {
				file.Current = args[0]
			}
			if err := a.dirs.Save(file); err != nil {
				return err
			}
			a.say("context %s saved to %s", args[0], a.dirs.Path())
			return nil
		},
	}
	c.Flags().BoolVar(&readOnly, "read-only", false, "refuse every change through this context")
	return c
}

// changeContext copies the flags that were given; false if there are none.
func (a *app) changeContext(c *cobra.Command, x *settings.Context, readOnly bool) bool {
	f := a.flags
	set := map[string]func(){
		"seeds":                    func() { x.Seeds, x.HTTP = f.seeds, nil },
		"http":                     func() { x.HTTP, x.Seeds = f.http, nil },
		"label":                    func() { x.Label = f.label },
		"product":                  func() { x.Product = f.product },
		"timeout":                  func() { x.Timeout = settings.Duration(f.timeout) },
		"heartbeat-timeout":        func() { x.HeartbeatTimeout = settings.Duration(f.heartbeat) },
		"tls":                      func() { x.TLS.Enabled = f.tls.Enabled },
		"tls-ca":                   func() { x.TLS.CA = f.tls.CA },
		"tls-cert":                 func() { x.TLS.Cert = f.tls.Cert },
		"tls-key":                  func() { x.TLS.Key = f.tls.Key },
		"tls-server-name":          func() { x.TLS.ServerName = f.tls.ServerName },
		"tls-insecure-skip-verify": func() { x.TLS.Insecure = f.tls.Insecure },
		"read-only":                func() { x.ReadOnly = readOnly },
	}
	said := false
	for name, apply := range set {
		if c.Flags().Changed(name) {
			apply()
			said = true
		}
	}
	return said
}
