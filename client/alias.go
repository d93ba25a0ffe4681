package client

import (
	"time"

	"github.com/ringctl/ringctl/client/model"
	"github.com/ringctl/ringctl/engine/gossip"
)

// The model of what a member knows lives in package model, which does no I/O; these are its names here.
type (
	Snapshot       = model.Snapshot
	Options        = model.Options
	Value          = model.Value
	Mode           = model.Mode
	Verdict        = model.Verdict
	Health         = model.Health
	Duration       = model.Duration
	Member         = model.Member
	Ring           = model.Ring
	Instance       = model.Instance
	Tombstone      = model.Tombstone
	Zone           = model.Zone
	Spread         = model.Spread
	Quorum         = model.Quorum
	DuplicateToken = model.DuplicateToken
	PartitionRing  = model.PartitionRing
	Partition      = model.Partition
	Owner          = model.Owner
	Opaque         = model.Opaque
	Profile        = model.Profile

	Difference = model.Difference
	Agreement  = model.Agreement
	ViewGroup  = model.ViewGroup
	Event      = model.Event
	EventKind  = model.EventKind
	Timeline   = model.Timeline

	WhatIf        = model.WhatIf
	Simulation    = model.Simulation
	Outcome       = model.Outcome
	Load          = model.Load
	LostPartition = model.LostPartition
	StopRequest   = model.StopRequest
	StopAnswer    = model.StopAnswer
	StopReason    = model.StopReason
	LookupRequest = model.LookupRequest
	Placement     = model.Placement
	Replica       = model.Replica

	Code  = model.Code
	Error = model.Error
)

// The modes, verdicts and judgements of heartbeats.
const (
	Observe  = model.Observe
	Join     = model.Join
	HTTP     = model.HTTP
	Recorded = model.Recorded

	OK       = model.OK
	Warning  = model.Warning
	Critical = model.Critical
	Unknown  = model.Unknown

	Healthy    = model.Healthy
	Unhealthy  = model.Unhealthy
	Future     = model.Future
	NoInstance = model.NoInstance

	DefaultTenant = model.DefaultTenant
)

// The codes of errors and answers.
const (
	CodeOK           = model.CodeOK
	CodeNo           = model.CodeNo
	CodeUsage        = model.CodeUsage
	CodeNoView       = model.CodeNoView
	CodeNotFound     = model.CodeNotFound
	CodeRefused      = model.CodeRefused
	CodeConfirm      = model.CodeConfirm
	CodeTimeout      = model.CodeTimeout
	CodeNotConverged = model.CodeNotConverged
	CodeInterrupted  = model.CodeInterrupted
)

// The kinds of events.
const (
	RingAppeared         = model.RingAppeared
	RingVanished         = model.RingVanished
	RingVerdict          = model.RingVerdict
	InstanceJoined       = model.InstanceJoined
	InstanceGone         = model.InstanceGone
	InstanceResurrected  = model.InstanceResurrected
	InstanceState        = model.InstanceState
	InstanceHealth       = model.InstanceHealth
	InstanceAddr         = model.InstanceAddr
	InstanceZone         = model.InstanceZone
	InstanceTokens       = model.InstanceTokens
	InstanceReadOnly     = model.InstanceReadOnly
	PartitionAdded       = model.PartitionAdded
	PartitionGone        = model.PartitionGone
	PartitionState       = model.PartitionState
	PartitionLock        = model.PartitionLock
	PartitionOwnerAdded  = model.PartitionOwnerAdded
	PartitionOwnerGone   = model.PartitionOwnerGone
	PartitionOwnerHealth = model.PartitionOwnerHealth
	MemberJoined         = model.MemberJoined
	MemberGone           = model.MemberGone
	MemberState          = model.MemberState
)

// PendingPatience is [model.PendingPatience].
const PendingPatience = model.PendingPatience

// Build is [model.Build].
func Build(v *gossip.View, o Options) *Snapshot { return model.Build(v, o) }

// Compare is [model.Compare].
func Compare(a, b *Snapshot, heartbeats bool, slack time.Duration) []Difference {
	return model.Compare(a, b, heartbeats, slack)
}

// Agreements is [model.Agreements].
func Agreements(views []*Snapshot) []Agreement { return model.Agreements(views) }

// Islands is [model.Islands].
func Islands(views []*Snapshot) [][]string { return model.Islands(views) }

// Changes is [model.Changes].
func Changes(from, to *Snapshot) []Event { return model.Changes(from, to) }

// CanStop is [model.CanStop].
func CanStop(views []*Snapshot, req StopRequest) (*StopAnswer, error) {
	return model.CanStop(views, req)
}

// TraceToken is [model.TraceToken].
func TraceToken(tenant, id string) (uint32, error) { return model.TraceToken(tenant, id) }

// Products is [model.Products].
func Products() []string { return model.Products() }

// Codes is [model.Codes].
func Codes() []Code { return model.Codes() }

// CodeOf is [model.CodeOf].
func CodeOf(err error) Code { return model.CodeOf(err) }

// HintOf is [model.HintOf].
func HintOf(err error) string { return model.HintOf(err) }

// Stem is [model.Stem].
func Stem(name string) string { return model.Stem(name) }

// Nearest is [model.Nearest].
func Nearest(name string, names []string) []string { return model.Nearest(name, names) }

// Plural is [model.Plural].
func Plural(n int, noun string) string { return model.Plural(n, noun) }

// IsGuest is [model.IsGuest].
func IsGuest(name string) bool { return model.IsGuest(name) }

// Age is [model.Age].
func Age(d time.Duration) string { return model.Age(d) }
