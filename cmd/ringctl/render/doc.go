// Package render writes the answers of ringctl: tables for people, and JSON, YAML, CSV, names, JSONPath and
// templates for programs.
//
// A command builds one [Document]; [Format.Write] turns it into text. Data and words never mix: documents go
// to standard output, everything else the command says goes to standard error.
package render
