package booking

import (
	"fmt"
	"strconv"
	"strings"
)

// places is how many digits of an amount stand behind the point, where it is not two
// (https://docs.stripe.com/currencies).
var places = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0, "pyg": 0, "rwf": 0, "ugx": 0, "vnd": 0,
	"vuv": 0, "xaf": 0, "xof": 0, "xpf": 0, "bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

func placesOf(currency string) int {
	if n, ok := places[strings.ToLower(currency)]; ok {
		return n
	}
	return 2
}

// Decimal writes the amount in whole units with the digits its currency has: 2500 eur is "25.00", 2500 jpy is "2500".
func (m Money) Decimal() string {
	n := placesOf(m.Currency)
	digits := strconv.FormatInt(m.Minor, 10)
	sign := ""
	if m.Minor < 0 {
		sign, digits = "-", digits[1:]
	}
	if missing := n + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-n], digits[len(digits)-n:]
	if n == 0 {
		return sign + whole
	}
	return sign + whole + "." + part
}

// String writes the amount for people: "25.00 EUR".
func (m Money) String() string {
	return strings.TrimSpace(m.Decimal() + " " + strings.ToUpper(m.Currency))
}

// ParseMoney reads what [Money.Decimal] writes, which is not negative and has exactly the digits of its currency:
// "25.00" in eur, "2500" in jpy. So nobody takes cents for euros.
func ParseMoney(decimal, currency string) (Money, error) {
	n := placesOf(currency)
	whole, part, point := strings.Cut(decimal, ".")
	if point == (n == 0) || len(part) != n || whole == "" || len(whole) > 19 || strings.Trim(whole+part, "0123456789") != "" {
		example := Money{Minor: 2500, Currency: currency}.Decimal()
		return Money{}, fmt.Errorf("booking: %q is not an amount with %d digits after the point, such as %s", decimal, n, example)
	}
	minor, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil {
		return Money{}, fmt.Errorf("booking: %q is too large an amount", decimal)
	}
	return Money{Minor: minor, Currency: strings.ToLower(currency)}, nil
}
