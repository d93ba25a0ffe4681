package widget

// Pixels is a picture on a canvas: every cell is two pixels, one above the
// other, which are nearly square. Where the theme has no colours to tell pixels
// apart, a cell is one pixel, drawn as a letter.
type Pixels struct {
	canvas Canvas
	// W and H are the size of the picture in pixels.
	W, H int
	// Tall is how much higher than wide a pixel is.
	Tall float64
	dots []Pixel
}

// Pixel is one dot of a picture. The zero value is no dot.
type Pixel struct {
	Color Color
	// Letter stands for the pixel where there are no colours.
	Letter string
	// Style is the style of the letter.
	Style Style
}

// NewPixels makes an empty picture that covers the canvas.
func NewPixels(c Canvas) *Pixels {
	p := &Pixels{canvas: c, W: c.W, H: c.H, Tall: 2}
	if c.theme().Pictures {
		p.H, p.Tall = 2*c.H, 1
	}
	p.dots = make([]Pixel, p.W*p.H)
	return p
}

// Set puts a dot into the picture; outside of it nothing happens.
func (p *Pixels) Set(x, y int, dot Pixel) {
	if x >= 0 && y >= 0 && x < p.W && y < p.H {
		p.dots[y*p.W+x] = dot
	}
}

// Draw puts the picture on the canvas. Cells without dots are left alone.
func (p *Pixels) Draw() {
	if p.Tall != 1 {
		for i, dot := range p.dots {
			if dot.Letter != "" {
				p.canvas.Text(i%p.W, i/p.W, dot.Style, dot.Letter)
			}
		}
		return
	}
	for y := 0; y < p.H; y += 2 {
		for x := range p.W {
			upper, lower := p.dots[y*p.W+x].Color, p.dots[(y+1)*p.W+x].Color
			switch {
			case upper != 0 && upper == lower:
				p.canvas.Text(x, y/2, Style{FG: upper}, "█")
			case upper != 0 && lower != 0:
				p.canvas.Text(x, y/2, Style{FG: upper, BG: lower}, "▀")
			case upper != 0:
				p.canvas.Text(x, y/2, Style{FG: upper}, "▀")
			case lower != 0:
				p.canvas.Text(x, y/2, Style{FG: lower}, "▄")
			}
		}
	}
}

// Mix is a colour between a and b: a at 0, b at 1. Colours that are not 24-bit
// do not mix.
func Mix(a, b Color, f float64) Color {
	if a&^0xffffff != colorRGB || b&^0xffffff != colorRGB {
		return a
	}
	var out Color
	for shift := 0; shift <= 16; shift += 8 {
		x, y := float64(a>>shift&0xff), float64(b>>shift&0xff)
		out |= Color(x+(y-x)*f+0.5) & 0xff << shift
	}
	return colorRGB | out
}
