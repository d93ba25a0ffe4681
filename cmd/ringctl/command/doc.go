// Package command is the command tree of ringctl. Each file holds one command or one family of them; [Run] is the
// only entry.
//
// A command reads flags, asks the client package, builds one render.Document, and returns an error whose code
// (client.CodeOf) becomes the exit code. It does nothing that another program could not do with the client package.
package command
