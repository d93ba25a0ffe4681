// Package querytest checks the evaluation of queries: [ParseStory] reads small traces from text, [Random] makes large
// ones, [Memory] holds them as a segment, [Twin] answers queries the slow and obvious way, span by span, and [Vary]
// stores the same spans in other codings, so that a segment of any storage can be compared with both.
package querytest
