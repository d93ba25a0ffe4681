// Package compactor says which blocks should become one, and makes them one.
package compactor
