// Package document turns what the client package answers into documents: the tables that people read and the data that
// programs get are made in one place, from the same values. Everything in it is a pure function.
//
// The types with JSON tags are the data of the documents; docs/schemas describes them.
package document
