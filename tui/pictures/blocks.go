//go:build unix

package main

import "fmt"

// thin and thick are the widths of the strokes of box drawing.
const thin, thick = 1.0, 3.0

// strokes are the arms of box-drawing characters: how thick each goes from the
// middle to the left, right, top and bottom edge.
var strokes = map[rune][4]float64{
	'─': {thin, thin, 0, 0}, '│': {0, 0, thin, thin}, '━': {thick, thick, 0, 0}, '┃': {0, 0, thick, thick},
	'╸': {thick, 0, 0, 0}, '╺': {0, thick, 0, 0}, '├': {0, thin, thin, thin}, '┤': {thin, 0, thin, thin},
	'┬': {thin, thin, 0, thin}, '┴': {thin, thin, thin, 0}, '┼': {thin, thin, thin, thin},
}

// quadrants are the quarters of block characters: upper left, upper right,
// lower left, lower right.
var quadrants = map[rune][4]bool{
	'▘': {true, false, false, false}, '▝': {false, true, false, false}, '▖': {false, false, true, false}, '▗': {false, false, false, true},
	'▚': {true, false, false, true}, '▞': {false, true, true, false}, '▙': {true, false, true, true}, '▛': {true, true, true, false},
	'▜': {true, true, false, true}, '▟': {false, true, true, true},
}

// blocks are the boxes of characters that must meet their neighbours exactly,
// which no font does at every size. nil is any other character.
func blocks(r rune, x, y float64) []box {
	switch {
	case r == '█':
		return []box{{x: x, y: y, w: cellW, h: cellH}}
	case r == '▀':
		return []box{{x: x, y: y, w: cellW, h: cellH / 2}}
	case r >= '▁' && r <= '▇':
		h := cellH * float64(r-'▁'+1) / 8
		return []box{{x: x, y: y + cellH - h, w: cellW, h: h}}
	case r == '▌':
		return []box{{x: x, y: y, w: cellW / 2, h: cellH}}
	case r == '▐':
		return []box{{x: x + cellW/2, y: y, w: cellW / 2, h: cellH}}
	}
	if q, ok := quadrants[r]; ok {
		var out []box
		for i, on := range q {
			if on {
				out = append(out, box{x: x + float64(i%2)*cellW/2, y: y + float64(i/2)*cellH/2, w: cellW / 2, h: cellH / 2})
			}
		}
		return out
	}
	s, ok := strokes[r]
	if !ok {
		return nil
	}
	return arms(s, x, y)
}

func arms(s [4]float64, x, y float64) []box {
	mx, my := x+cellW/2, y+cellH/2
	if s[0] == s[1] && s[0] > 0 && s[2] == 0 && s[3] == 0 {
		return []box{{x: x, y: my - s[0]/2, w: cellW, h: s[0]}} // joins with its neighbours
	}
	var out []box
	if s[0] > 0 {
		out = append(out, box{x: x, y: my - s[0]/2, w: cellW / 2, h: s[0]})
	}
	if s[1] > 0 {
		out = append(out, box{x: mx, y: my - s[1]/2, w: cellW / 2, h: s[1]})
	}
	if s[2] > 0 {
		out = append(out, box{x: mx - s[2]/2, y: y, w: s[2], h: cellH / 2})
	}
	if s[3] > 0 {
		out = append(out, box{x: mx - s[3]/2, y: my, w: s[3], h: cellH / 2})
	}
	return out
}

// rounded is the path of a rounded corner; "" is any other character.
func rounded(r rune, x, y float64) string {
	mx, my := x+cellW/2, y+cellH/2
	var endX, endY float64
	switch r {
	case '╭':
		endX, endY = x+cellW, y+cellH
	case '╮':
		endX, endY = x, y+cellH
	case '╰':
		endX, endY = x+cellW, y
	case '╯':
		endX, endY = x, y
	default:
		return ""
	}
	return fmt.Sprintf("M%s %sQ%s %s %s %s", num(mx), num(endY), num(mx), num(my), num(endX), num(my))
}
