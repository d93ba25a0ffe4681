package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/cmd/ringctl/command"
	"github.com/ringctl/ringctl/engine/ring"
)

// TestWatch starts ringctl watch, changes the ring once it has seen it, reads the event, and interrupts it.
func TestWatch(t *testing.T) {
	now := time.Now()
	cluster, err := clienttest.Start(t.Context(), clienttest.Config{Names: []string{"node-0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	d := clienttest.Edit(clienttest.Ring("ingester", 3, 16, now), "ingester-1", clienttest.Aged(now, 20*time.Second))
	if err := cluster.Put("collectors/ring", d); err != nil {
		t.Fatal(err)
	}
	stdout, outWriter := io.Pipe()
	stderr, errWriter := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- command.Run(ctx, command.Env{Args: []string{"watch", "--observe", "--interval", "1s", "--seeds", cluster.Seeds()[0], "-o", "json"},
			Stdin: strings.NewReader(""), Stdout: outWriter, Stderr: errWriter, Getenv: func(string) string { return "" }, Now: time.Now})
		outWriter.Close()
		errWriter.Close()
	}()
	words := bufio.NewScanner(stderr)
	if !words.Scan() || !strings.HasPrefix(words.Text(), "watching") {
		t.Fatalf("first words: %q", words.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	leaving := clienttest.Edit(d.Clone(), "ingester-1", func(i *ring.Instance) { i.State, i.Timestamp = ring.Leaving, now.Unix() })
	if err := cluster.Put("collectors/ring", leaving); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Kind string
		Data client.Event
	}
	if err := json.NewDecoder(stdout).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.Kind != "Event" || doc.Data.Kind != client.InstanceState || doc.Data.ID != "ingester-1" || doc.Data.To != "LEAVING" {
		t.Errorf("%+v", doc)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	cancel()
	if got := <-code; got != client.CodeInterrupted.Exit() {
		t.Errorf("exit code %d", got)
	}
}
