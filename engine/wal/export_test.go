package wal

// AppendGroup appends records as one group, which otherwise needs callers that
// arrive while the disk is busy.
func (l *Log) AppendGroup(recs [][]byte) error {
	var drafts []byte
	for _, rec := range recs {
		drafts = append(drafts, *l.draft(rec)...)
	}
	l.flush.Lock()
	defer l.flush.Unlock()
	return l.commit(drafts)
}
