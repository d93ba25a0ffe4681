package control

import (
	"net/http"
	"strconv"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ringapi"
)

// parseForm reads a form within the size limit.
func parseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, ringapi.MaxRequest)
	if err := r.ParseForm(); err != nil {
		return &ringapi.Error{Code: ringapi.CodeInvalid, Message: "read the form: " + err.Error()}
	}
	return nil
}

// submit runs a form: gate, then the attempt that build makes of it, then back to the page.
func (c *Control) submit(w http.ResponseWriter, r *http.Request, title string, build func() (attempt, error)) {
	err := parseForm(w, r)
	var actor string
	if err == nil {
		actor, err = c.admit(r)
	}
	var a attempt
	if err == nil {
		a, err = build()
	}
	if err == nil {
		_, err = c.perform(r, actor, a)
	}
	if err != nil {
		c.fail(w, r, title, err)
		return
	}
	w.Header().Set("Location", "#")
	w.WriteHeader(http.StatusFound)
}

// ringForm takes forget=<id> with reason, and force=true for live members.
func (c *Control) ringForm(w http.ResponseWriter, req *http.Request, r *Ring) {
	c.submit(w, req, r.Title, func() (attempt, error) {
		f := ringapi.ForgetRequest{
			Instance: req.PostFormValue("forget"), Reason: req.PostFormValue("reason"),
			Force: req.PostFormValue("force") == "true",
		}
		return c.forgetAttempt(r, f), f.Validate()
	})
}

// partitionForm takes action=change_state, change_state_and_lock or state_change_lock in the fields of the
// dskit family, and remove_partition and remove_owner of our own.
func (c *Control) partitionForm(w http.ResponseWriter, req *http.Request, r *PartitionRing) {
	c.submit(w, req, r.Title, func() (attempt, error) {
		reason := req.PostFormValue("reason")
		action := req.PostFormValue("action")
		if action == "remove_owner" {
			f := ringapi.OwnerRemoveRequest{Owner: req.PostFormValue("owner_id"), Reason: reason, Force: req.PostFormValue("force") == "true"}
			return c.ownerRemoveAttempt(r, f), f.Validate()
		}
		id, err := parsePartition(req.PostFormValue("partition_id"))
		if err != nil {
			return attempt{}, err
		}
		if action == "remove_partition" {
			f := ringapi.PartitionRemoveRequest{Reason: reason}
			return c.partitionRemoveAttempt(r, id, f), f.Validate()
		}
		f, err := partitionFormRequest(req, action, reason)
		if err != nil {
			return attempt{}, err
		}
		return c.partitionAttempt(r, id, f), f.Validate()
	})
}

// partitionFormRequest reads the three actions of the dskit family.
func partitionFormRequest(req *http.Request, action, reason string) (ringapi.PartitionRequest, error) {
	f := ringapi.PartitionRequest{Reason: reason}
	lock := true
	switch action {
	case "change_state":
		f.State = req.PostFormValue("partition_state")
	case "change_state_and_lock":
		f.State, f.Lock = req.PostFormValue("partition_state"), &lock
	case "state_change_lock":
		var err error
		if lock, err = strconv.ParseBool(req.PostFormValue("locked")); err != nil {
			return f, &ringapi.Error{Code: ringapi.CodeInvalid, Message: "locked must be true or false"}
		}
		f.Lock = &lock
		return f, nil
	default:
		return f, &ringapi.Error{Code: ringapi.CodeInvalid, Message: "unknown action " + strconv.Quote(action),
			Hint: "change_state, change_state_and_lock, state_change_lock, remove_partition, remove_owner"}
	}
	if _, ok := partition.ParseState(f.State); !ok || f.State == "" {
		return f, &ringapi.Error{Code: ringapi.CodeInvalid, Message: "partition_state " + strconv.Quote(f.State) + " is no state"}
	}
	return f, nil
}

func parsePartition(s string) (int32, error) {
	id, err := strconv.ParseInt(s, 10, 32)
	if err != nil || id < 0 {
		return 0, &ringapi.Error{Code: ringapi.CodeInvalid, Message: strconv.Quote(s) + " is no partition number"}
	}
	return int32(id), nil
}
