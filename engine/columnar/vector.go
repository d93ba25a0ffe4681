package columnar

import "slices"

// Vector holds what a column read: one entry per row (or per trace), in one of four codings:
//
//	Codes with Dict      code 0 = null, otherwise entry code-1 of Dict
//	Codes without Dict   the number itself as a 32-bit two's complement ("direct codes"), never null
//	Ints, Floats         plain numbers (Bool: Ints 0 and 1); Present says which are not null
//	Arena with Offsets   plain strings: value i is Arena[Offsets[i] : Offsets[i+1]-Gap]; Present says which are not null
//
// A sparse vector has Rows: entry i belongs to row Rows[i] (ascending); rows not listed are null, and listed ones are
// not. An array vector has Lists: the list of entry i is the values [Lists[i], Lists[i+1]) of the coding, none of them
// null; an empty list is a value that is not null unless Present says so.
//
// The vector owns the memory it got by the Use methods and hands it out again at the next Read; a column may as well
// set a field to memory of its own, which is then read-only for everyone.
type Vector struct {
	Dict    *Dict
	Codes   []uint32
	Ints    []int64
	Floats  []float64
	Arena   []byte
	Offsets []uint32
	Gap     uint32
	Present Bitmap // nil = every entry is present
	Rows    []uint32
	Lists   []uint32

	own struct {
		codes, offsets, rows, lists []uint32
		ints                        []int64
		floats                      []float64
		arena                       []byte
		present                     Bitmap
	}
}

// Reset empties the vector and keeps its memory.
func (v *Vector) Reset() {
	own := v.own
	*v = Vector{}
	v.own = own
}

// Size is the bytes of the vector's own memory, used or kept for the next Read.
func (v *Vector) Size() int64 {
	o := &v.own
	return int64(4*(cap(o.codes)+cap(o.offsets)+cap(o.rows)+cap(o.lists)) + 8*(cap(o.ints)+cap(o.floats)+cap(o.present)) + cap(o.arena))
}

// UseCodes sets Codes to n entries of the vector's own memory, with any content, and returns it. The other Use methods
// do the same for their field.
func (v *Vector) UseCodes(n int) []uint32 {
	v.own.codes = sized(v.own.codes, n)
	v.Codes = v.own.codes
	return v.Codes
}

// UseInts sets Ints; see UseCodes.
func (v *Vector) UseInts(n int) []int64 {
	v.own.ints = sized(v.own.ints, n)
	v.Ints = v.own.ints
	return v.Ints
}

// UseFloats sets Floats; see UseCodes.
func (v *Vector) UseFloats(n int) []float64 {
	v.own.floats = sized(v.own.floats, n)
	v.Floats = v.own.floats
	return v.Floats
}

// UseRows sets Rows; see UseCodes.
func (v *Vector) UseRows(n int) []uint32 {
	v.own.rows = sized(v.own.rows, n)
	v.Rows = v.own.rows
	return v.Rows
}

// UseLists sets Lists; see UseCodes.
func (v *Vector) UseLists(n int) []uint32 {
	v.own.lists = sized(v.own.lists, n)
	v.Lists = v.own.lists
	return v.Lists
}

// UseStrings sets Arena (n bytes) and Offsets (m entries); see UseCodes.
func (v *Vector) UseStrings(n, m int) ([]byte, []uint32) {
	v.own.arena, v.own.offsets = sized(v.own.arena, n), sized(v.own.offsets, m)
	v.Arena, v.Offsets = v.own.arena, v.own.offsets
	return v.Arena, v.Offsets
}

// UsePresent sets Present to an empty bitmap for n entries; see UseCodes.
func (v *Vector) UsePresent(n int) Bitmap {
	v.own.present = sized(v.own.present, (n+63)/64)
	clear(v.own.present)
	v.Present = v.own.present
	return v.Present
}

// sized is s with n entries of any content; never nil, because a nil field has a meaning of its own.
func sized[T any](s []T, n int) []T {
	if s == nil || cap(s) < n {
		return make([]T, n, n+n/4+1)
	}
	return s[:n]
}

// Int is a plain or dictionary-coded number; 0 when it is null.
func (v *Vector) Int(row uint32) int64 {
	switch {
	case v.Rows != nil:
		i, ok := find(v.Rows, row)
		if !ok {
			return 0
		}
		row = uint32(i)
	case v.Present != nil && !v.Present.Has(row):
		return 0
	}
	switch {
	case v.Ints != nil:
		return v.Ints[row]
	case v.Dict == nil:
		return int64(int32(v.Codes[row]))
	case v.Codes[row] == 0:
		return 0
	}
	return v.Dict.Ints[v.Codes[row]-1]
}

// Text is a string; nil when it is null.
func (v *Vector) Text(row uint32) []byte {
	switch {
	case v.Rows != nil:
		i, ok := find(v.Rows, row)
		if !ok {
			return nil
		}
		row = uint32(i)
	case v.Present != nil && !v.Present.Has(row):
		return nil
	}
	return v.TextAt(row)
}

// TextAt is string i of the coding; nil when its code is 0.
func (v *Vector) TextAt(i uint32) []byte {
	if v.Dict == nil {
		return v.Arena[v.Offsets[i] : v.Offsets[i+1]-v.Gap]
	}
	if v.Codes[i] == 0 {
		return nil
	}
	return v.Dict.Bytes(int(v.Codes[i] - 1))
}

// Entry is the place of a row's value (of its list, in an array vector); false when it is null.
func (v *Vector) Entry(row uint32) (uint32, bool) {
	switch {
	case v.Rows != nil:
		i, ok := find(v.Rows, row)
		return uint32(i), ok
	case v.Present != nil && !v.Present.Has(row):
		return 0, false
	case v.Lists == nil && v.Dict != nil && v.Codes[row] == 0:
		return 0, false
	}
	return row, true
}

// IntAt is number i of the coding.
func (v *Vector) IntAt(i uint32) int64 {
	switch {
	case v.Ints != nil:
		return v.Ints[i]
	case v.Dict == nil:
		return int64(int32(v.Codes[i]))
	}
	return v.Dict.Ints[v.Codes[i]-1]
}

// FloatAt is number i of the coding.
func (v *Vector) FloatAt(i uint32) float64 {
	if v.Dict != nil {
		return v.Dict.Floats[v.Codes[i]-1]
	}
	return v.Floats[i]
}

// AnyOf reports that one of the rows has a value.
func (v *Vector) AnyOf(rows Bitmap) bool {
	if v.Rows != nil {
		return slices.ContainsFunc(v.Rows, rows.Has)
	}
	for row, ok := rows.Next(0); ok; row, ok = rows.Next(row + 1) {
		if v.Has(row) {
			return true
		}
	}
	return false
}

// Has reports that entry i of a vector that is not sparse has a value.
func (v *Vector) Has(i uint32) bool {
	switch {
	case v.Present != nil && !v.Present.Has(i):
		return false
	case v.Lists != nil || v.Dict == nil:
		return true
	}
	return v.Codes[i] != 0
}

// find is the index of a row in an ascending list.
func find(rows []uint32, row uint32) (int, bool) {
	lo, hi := 0, len(rows)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if rows[mid] < row {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(rows) && rows[lo] == row
}
