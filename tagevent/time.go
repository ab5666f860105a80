package tagevent

import (
	"encoding/json"
	"fmt"
	"time"
)

// Time is a moment to the second, in UTC: the seconds since the first of January of the year 1.
//
// The zero Time means "no time". It encodes as JSON null, as the API's times do, and null decodes to it.
// Times compare with == and <.
type Time int64

// unixZero is the Unix epoch as a Time.
const unixZero = 62135596800

// TimeOf returns t as a Time. What is below a second is cut off; the zero time.Time gives the zero Time.
func TimeOf(t time.Time) Time { return Time(t.Unix() + unixZero) }

// ParseTime reads an RFC 3339 time of any zone, with or without a fraction of a second, which is cut off. A time that
// is outside the years 0 to 9999 in UTC is an error: it could not be written again.
func ParseTime(s string) (Time, error) {
	if t, ok := parseSeconds(s); ok {
		return t, nil
	}
	parsed, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("time %q: want RFC 3339, like 2026-01-02T03:04:05Z", s)
	}
	t := TimeOf(parsed)
	if !t.canBeWritten() {
		return 0, fmt.Errorf("time %q: in UTC it is outside the years 0 to 9999", s)
	}
	return t, nil
}

// Time returns t as a time.Time in UTC.
func (t Time) Time() time.Time { return time.Unix(int64(t)-unixZero, 0).UTC() }

// IsZero reports whether t means "no time".
func (t Time) IsZero() bool { return t == 0 }

// String returns t in RFC 3339, or "" for no time.
func (t Time) String() string {
	if t == 0 {
		return ""
	}
	return string(t.append(make([]byte, 0, len(time.RFC3339))))
}

// The years 0 to 9999, which RFC 3339 can write.
const (
	minTime Time = -366 * 24 * 60 * 60
	maxTime Time = 315537897599
)

func (t Time) canBeWritten() bool { return t >= minTime && t <= maxTime }

// MarshalJSON returns t in RFC 3339, in quotes, or null for no time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	if !t.canBeWritten() {
		return nil, fmt.Errorf("time of the year %d: RFC 3339 has the years 0 to 9999", t.Time().Year())
	}
	b := append(make([]byte, 0, len(`"2006-01-02T15:04:05Z"`)), '"')
	return append(t.append(b), '"'), nil
}

func (t Time) append(b []byte) []byte { return t.Time().AppendFormat(b, time.RFC3339) }

// UnmarshalJSON reads what MarshalJSON wrote, and any other RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = 0
		return nil
	}
	if n := len(b); n > 2 && b[0] == '"' && b[n-1] == '"' {
		if parsed, ok := parseSeconds(b[1 : n-1]); ok {
			*t = parsed
			return nil
		}
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("time %s: want a string or null", b)
	}
	parsed, err := ParseTime(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// parseSeconds reads the one form that the API writes, 2006-01-02T15:04:05Z, without allocating. Any other
// text, right or wrong, is not ok.
func parseSeconds[S string | []byte](s S) (Time, bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(s) != len(form) {
		return 0, false
	}
	var part [6]int
	n := 0
	for i := range len(form) {
		switch {
		case form[i] != '0':
			if s[i] != form[i] {
				return 0, false
			}
			n++
		case s[i] < '0' || s[i] > '9':
			return 0, false
		default:
			part[n] = part[n]*10 + int(s[i]-'0')
		}
	}
	year, month, day := part[0], part[1], part[2]
	if month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) ||
		part[3] > 23 || part[4] > 59 || part[5] > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, part[3], part[4], part[5], 0, time.UTC)
	return TimeOf(t), true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
