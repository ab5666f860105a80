package describe

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// picture is an SVG that is being drawn. It needs nothing from outside: no script, no style sheet, no font.
type picture struct {
	body strings.Builder
}

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(&p.body, format, args...) }

// text writes s at x, y, the baseline's left end; what, such as ` font-weight="bold"`, is more of its attributes.
func (p *picture) text(x, y float64, what, s string) {
	p.printf(`<text x="%s" y="%s"%s>%s</text>`+"\n", number(x), number(y), what, escape(s))
}

// write writes the picture: the title, a description for those who cannot see it, what was drawn. The id keeps
// several pictures on a page apart.
func (p *picture) write(w io.Writer, id, title, description string, width, height float64) error {
	var out strings.Builder
	fmt.Fprintf(
		&out,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]s %[2]s" width="%[1]s" height="%[2]s" role="img" aria-labelledby="%[3]s-title %[3]s-desc" font-family="system-ui, sans-serif" font-size="12" fill="#1a1a1a">`+"\n",
		number(width),
		number(height),
		escape(id),
	)
	fmt.Fprintf(
		&out,
		`<title id="%[1]s-title">%[2]s</title>`+"\n"+`<desc id="%[1]s-desc">%[3]s</desc>`+"\n",
		escape(id),
		escape(title),
		escape(description),
	)
	fmt.Fprintf(&out, `<rect width="%s" height="%s" fill="#ffffff"/>`+"\n", number(width), number(height))
	out.WriteString(p.body.String())
	out.WriteString("</svg>\n")
	_, err := io.WriteString(w, out.String())
	return err
}

// pictureID is an id for the picture of a stream: letters, digits and dashes.
func pictureID(kind string, s *imagestream.ImageStream) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, kind+"-"+s.Metadata.Namespace+"-"+s.Metadata.Name)
}

// escape makes s the text of an element or an attribute; what XML cannot hold becomes U+FFFD.
func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

// number writes a coordinate to a tenth.
func number(f float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}

// charWidth is how wide a character of 12 pixels is taken to be; wide ones are two.
const charWidth = 7

// fit shortens s to what goes into so many pixels, with an ellipsis in place of the rest.
func fit(s string, pixels float64) string {
	room := int(pixels / charWidth)
	if Width(s) <= room {
		return s
	}
	end := 0
	for i := range s {
		if Width(s[:i])+1 > room {
			break
		}
		end = i
	}
	return s[:end] + "…"
}

// shortID is the beginning of an image's name, as people quote it.
func shortID(image string) string {
	_, hex, ok := strings.Cut(image, ":")
	if !ok {
		hex = image
	}
	if len(hex) > 7 {
		hex = hex[:7]
	}
	return hex
}

// imageName is what there is to call the image of an event.
func imageName(image, reference string) string {
	if image != "" {
		return shortID(image)
	}
	if r, err := pullspec.Parse(reference); err == nil {
		return r.NameString()
	}
	return reference
}

// style is how an image is painted: no two styles next to each other differ by colour alone, since the name
// stands on it where there is room, and a pattern sets off what has the colour of another.
type style struct{ fill, ink string }

// styles are colours that people with any colour vision tell apart (Okabe and Ito), with black or white on them,
// whatever has more contrast.
var styles = [...]style{
	{"#0072b2", "#ffffff"}, {"#e69f00", "#000000"}, {"#009e73", "#000000"}, {"#cc79a7", "#000000"},
	{"#56b4e9", "#000000"}, {"#d55e00", "#000000"}, {"#f0e442", "#000000"},
}

// patterns are laid over a colour that is used again: stripes this way, that way, and dots.
const patterns = 4

const patternDefs = `<defs>
<pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2" height="8" fill="#000000" fill-opacity="0.25"/></pattern>
<pattern id="backstripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><rect width="2" height="8" fill="#000000" fill-opacity="0.25"/></pattern>
<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.2" fill="#000000" fill-opacity="0.35"/></pattern>
</defs>
`

var patternIDs = [patterns]string{"", "stripes", "backstripes", "dots"}
