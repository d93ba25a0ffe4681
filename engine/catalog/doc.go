// Package catalog knows which blocks exist now.
package catalog
