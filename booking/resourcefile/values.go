package resourcefile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

func text(s *string) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			*s, _ = r.scalar(n, path, "must be text; put it in quotes", "!!str")
		},
		func() *yaml.Node { return textNode(*s) },
	}
}

func boolean(b *bool) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			const want = "must be true or false"
			text, ok := r.scalar(n, path, want, "!!bool")
			value, err := strconv.ParseBool(strings.ToLower(text))
			if ok && err != nil {
				r.add(n, path, want)
			}
			*b = value
		},
		func() *yaml.Node { return plainNode("!!bool", *b) },
	}
}

// negated is a boolean whose variable has the opposite value of the field.
func negated(b *bool) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			boolean(b).read(r, n, path)
			*b = !*b
		},
		func() *yaml.Node { return plainNode("!!bool", !*b) },
	}
}

func number(i *int) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			const want = "must be a whole number"
			text, ok := r.scalar(n, path, want, "!!int")
			value, err := strconv.Atoi(text)
			if ok && err != nil {
				r.add(n, path, want)
			}
			*i = value
		},
		func() *yaml.Node { return plainNode("!!int", *i) },
	}
}

// positive is a number for which 0 in package booking means the default.
func positive(i *int) kind { return nonzero(number(i), i) }

func duration(d *time.Duration) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			text, ok := r.scalar(n, path, "must be a duration such as 45m, 1h30m or 14d", "!!str")
			if !ok {
				return
			}
			var err error
			if *d, err = parseDuration(text); err != nil {
				r.add(n, path, err.Error())
			}
		},
		func() *yaml.Node { return textNode(formatDuration(*d)) },
	}
}

// length is a duration for which 0 in package booking means the default.
func length(d *time.Duration) kind { return nonzero(duration(d), d) }

// nonzero refuses 0 in a file: a field with the default is left out.
func nonzero[T int | time.Duration](k kind, value *T) kind {
	return kind{func(r *reader, n *yaml.Node, path string) {
		before := len(r.problems)
		k.read(r, n, path)
		if *value == 0 && len(r.problems) == before {
			r.add(n, path, "must not be 0; leave it out for the default")
		}
	}, k.write}
}

// amount is money in minor units, as a decimal number with or without quotes.
func amount(minor *int64, currency string) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			example := booking.Money{Minor: 2500, Currency: currency}.Decimal()
			text, ok := r.scalar(n, path, fmt.Sprintf("must be an amount such as %q", example), "!!str", "!!int",
				"!!float")
			if !ok {
				return
			}
			m, err := booking.ParseMoney(text, currency)
			if err != nil {
				r.add(n, path, fmt.Sprintf("is %q, not an amount with the digits of its currency, such as %q", text,
					example))
			}
			*minor = m.Minor
		},
		func() *yaml.Node { return quoted(booking.Money{Minor: *minor, Currency: currency}.Decimal()) },
	}
}

// units are those of a duration, the longest first. A day is 24 hours.
var units = []struct {
	name   string
	length time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// What the form allows adds up without overflow.
var durationForm = regexp.MustCompile(`^(?:(\d{1,5})d)?(?:(\d{1,7})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?$`)

// parseDuration reads a duration such as "45m", "1h30m" or "14d".
func parseDuration(text string) (time.Duration, error) {
	found := durationForm.FindStringSubmatch(text)
	if found == nil || text == "" {
		return 0, fmt.Errorf("is %q, not a duration such as 45m, 1h30m or 14d", text)
	}
	var sum time.Duration
	for i, unit := range units {
		n, _ := strconv.ParseInt(found[i+1], 10, 64)
		sum += time.Duration(n) * unit.length
	}
	return sum, nil
}

// formatDuration writes what parseDuration reads, in whole seconds.
func formatDuration(d time.Duration) string {
	var out strings.Builder
	for _, unit := range units {
		if n := d / unit.length; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, unit.name)
			d %= unit.length
		}
	}
	if out.Len() == 0 {
		return "0s"
	}
	return out.String()
}
