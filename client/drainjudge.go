package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// askPatience bounds one question to an owner.
const askPatience = 10 * time.Second

// judgeDrain decides what is in the way, and what comes next. unread is the error of reading the views, if any.
func (c *Client) judgeDrain(ctx context.Context, req DrainRequest, s *DrainStatus, unread error) {
	if s.State == StateGone {
		s.Next = "nothing: the partition is in no view"
		s.Steps = append(s.Steps, DrainStep{Stage: DrainRemove, Done: true, Text: "it is in no view"})
		return
	}
	if unread != nil {
		s.Blocking = append(s.Blocking, unread.Error())
	}
	if s.State != "INACTIVE" {
		s.foresee(req)
		return
	}
	s.done(DrainDeactivate, fmt.Sprintf("INACTIVE in %d of %s since %s", s.passed, model.Plural(s.views, "view"), model.Stamp(s.Since)))
	s.QuietAt = s.Since.Add(req.Window)
	if left := s.QuietAt.Sub(c.cfg.Now()); left > 0 {
		s.block(DrainQuiet, fmt.Sprintf("queries may need its owners for another %s", model.Age(left)), "wait until "+model.Stamp(s.QuietAt))
	} else {
		s.done(DrainQuiet, "no query needs its owners any more")
	}
	c.judgeBlocks(ctx, req, s)
	s.judgeOwners()
	if unread != nil {
		s.Steps = append(s.Steps, DrainStep{Stage: DrainViews, Text: unread.Error()})
	}
	s.Safe = len(s.Blocking) == 0
	if s.Safe {
		s.Next = "remove it"
		s.Steps = append(s.Steps, DrainStep{Stage: DrainRemove, Text: "it is safe to remove"})
		return
	}
	s.Next = or(s.Next, "look again: "+s.Blocking[0])
	s.Steps = append(s.Steps, DrainStep{Stage: DrainRemove, Text: "not safe yet"})
}

// foresee tells of the stages to come.
func (s *DrainStatus) foresee(req DrainRequest) {
	s.block(DrainDeactivate, "it is "+s.State, "deactivate it")
	ahead := func(stage DrainStage, text string) {
		s.Steps = append(s.Steps, DrainStep{Stage: stage, Text: text})
	}
	ahead(DrainQuiet, fmt.Sprintf("queries need its owners for %s after that", model.Age(req.Window)))
	if len(req.Ask) > 0 {
		ahead(DrainBlocks, "until blocks hold its data")
	}
	ahead(DrainOwners, "they stop for good, so that they leave")
	ahead(DrainRemove, "not safe yet")
}

func (s *DrainStatus) done(stage DrainStage, text string) {
	s.Steps = append(s.Steps, DrainStep{Stage: stage, Done: true, Text: text})
}

func (s *DrainStatus) block(stage DrainStage, why, next string) {
	s.Steps = append(s.Steps, DrainStep{Stage: stage, Text: why})
	s.Blocking = append(s.Blocking, why)
	s.Next = or(s.Next, next)
}

// judgeBlocks asks the owners that are to be asked.
func (c *Client) judgeBlocks(ctx context.Context, req DrainRequest, s *DrainStatus) {
	var waiting []string
	for _, base := range req.Ask {
		if why := c.askOwner(ctx, base, s); why != "" {
			waiting = append(waiting, why)
			s.Blocking = append(s.Blocking, why)
			s.Next = or(s.Next, "wait until blocks hold its data: "+why)
		}
	}
	switch {
	case len(req.Ask) == 0:
	case len(waiting) == 0:
		s.done(DrainBlocks, "blocks hold its data")
	default:
		s.Steps = append(s.Steps, DrainStep{Stage: DrainBlocks, Text: strings.Join(waiting, "; ")})
	}
}

func (s *DrainStatus) judgeOwners() {
	if len(s.Owners) == 0 {
		s.done(DrainOwners, "gone")
		return
	}
	step := DrainStep{Stage: DrainOwners, Text: "stop them for good, so that they leave: " + strings.Join(s.Owners, ", ")}
	s.Blocking = append(s.Blocking, "owners: "+strings.Join(s.Owners, ", "))
	if len(s.left) == len(s.Owners) {
		step.Text = "gone, but entries stayed and are to be removed: " + strings.Join(s.left, ", ")
		s.Next = or(s.Next, "its owners are gone; remove the entries they left: ringctl partition owner remove "+strings.Join(s.left, "; ringctl partition owner remove "))
	}
	s.Next = or(s.Next, "stop its owners for good, so that they leave: "+strings.Join(s.Owners, ", "))
	s.Steps = append(s.Steps, step)
}

// askOwner asks a tempod process; the answer is what is in the way, "" for nothing.
func (c *Client) askOwner(ctx context.Context, base string, s *DrainStatus) string {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	status, err := c.fetchDrain(ctx, strings.TrimSuffix(base, "/")+ringapi.PathPartitionDrain(s.Ring, s.Partition))
	switch {
	case err != nil && len(s.Owners) == 0:
		return fmt.Sprintf("%s gave no answer (%v); its owners are gone, so leave --ask out if it had said before that it holds nothing", base, err)
	case err != nil:
		return fmt.Sprintf("%s gave no answer: %v", base, err)
	case status.Unshipped < 0:
		return fmt.Sprintf("%s cannot tell: it does not own partition %d", base, s.Partition)
	case status.Unshipped > 0:
		return fmt.Sprintf("%s holds %d bytes that are in no block yet", base, status.Unshipped)
	default:
		return ""
	}
}

func (c *Client) fetchDrain(ctx context.Context, url string) (*ringapi.DrainStatus, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.httpClient().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		var said ringapi.Error
		if json.Unmarshal(body, &said) == nil && said.Message != "" {
			return nil, fmt.Errorf("%s: %s", resp.Status, said.Message)
		}
		return nil, fmt.Errorf("%s", resp.Status)
	}
	var s ringapi.DrainStatus
	return &s, json.Unmarshal(body, &s)
}
