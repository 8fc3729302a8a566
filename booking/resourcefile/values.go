package resourcefile

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

func (r *reader) duration(n *yaml.Node, path string) time.Duration {
	text, ok := r.scalar(n, path, "must be a duration such as 45m, 1h30m or 14d", "!!str")
	if !ok {
		return 0
	}
	d, err := parseDuration(text)
	if err != nil {
		r.add(n, path, err.Error())
	}
	return d
}

// length is a duration whose zero value would stand for a default: who writes 0 means
// something else.
func (r *reader) length(n *yaml.Node, path string) time.Duration {
	before := len(r.problems)
	d := r.duration(n, path)
	if d == 0 && len(r.problems) == before {
		r.add(n, path, "must not be 0; leave it out for the default")
	}
	return d
}

// positive is a number whose zero value would stand for a default.
func (r *reader) positive(n *yaml.Node, path string) int {
	before := len(r.problems)
	value := r.number(n, path)
	if value == 0 && len(r.problems) == before {
		r.add(n, path, "must not be 0; leave it out for the default")
	}
	return value
}

// money reads an amount as it stands in the file, whether or not it is in quotes.
func (r *reader) money(n *yaml.Node, path, currency string) int64 {
	example := booking.Money{Minor: 2500, Currency: currency}.Decimal()
	text, ok := r.scalar(n, path, fmt.Sprintf("must be an amount such as %q", example), "!!str", "!!int", "!!float")
	if !ok {
		return 0
	}
	m, err := booking.ParseMoney(text, currency)
	if err != nil {
		r.add(n, path, fmt.Sprintf("is %q, not an amount with the digits of its currency, such as %q", text, example))
	}
	return m.Minor
}
