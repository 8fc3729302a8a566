package pages

import (
	"strconv"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
)

// places is how many digits of an amount stand behind the point, where it is not two (https://docs.stripe.com/currencies).
var places = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0, "pyg": 0, "rwf": 0, "ugx": 0, "vnd": 0, "vuv": 0,
	"xaf": 0, "xof": 0, "xpf": 0, "bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

// amount writes money for people: 1250 eur is EUR 12.50, 1250 jpy is JPY 1250.
func amount(m booking.Money) string {
	n, ok := places[strings.ToLower(m.Currency)]
	if !ok {
		n = 2
	}
	digits := strconv.FormatInt(m.Minor, 10)
	if n > 0 {
		if missing := n + 1 - len(digits); missing > 0 {
			digits = strings.Repeat("0", missing) + digits
		}
		digits = digits[:len(digits)-n] + "." + digits[len(digits)-n:]
	}
	return strings.ToUpper(m.Currency) + " " + digits
}
