package resourcefile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking/resourcefile"
)

func priced(currency, price string) string {
	return strings.NewReplacer("EUR", currency, `"25.00"`, price).Replace(least)
}

// M4: an amount in a file is the amount that Stripe charges, in its unit.
func TestRead_AmountsInStripesUnit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		currency, price string
		minor           int64
	}{
		{"UGX", `"50000"`, 5000000}, {"ugx", "50000", 5000000}, {"UGX", `"50000.00"`, 5000000},
		{"ISK", `"2550"`, 255000}, {"ISK", "2550.00", 255000},
		{"JPY", "2500", 2500}, {"KRW", `"2500"`, 2500}, {"KWD", `"18.600"`, 18600}, {"HUF", `"10.45"`, 1045},
		{"TWD", "800.45", 80045},
	} {
		r := read(t, priced(c.currency, c.price)+"policy: {freeUntil: 1d, fee: "+c.price+
			"}\noffers: [{slug: o, name: O, price: "+c.price+"}]\n")[0]
		require.Equal(t, c.minor, r.Price.Minor, "%+v", c)
		require.Equal(t, c.minor, r.Policy.FeeMinor, "%+v", c)
		require.Equal(t, c.minor, r.Offers[0].Price.Minor, "%+v", c)
	}
}

// M24: what Stripe always refuses is refused with its line, as a price, an offer's price
// and a fee.
func TestRead_RefusesWhatStripeNeverCharges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ currency, price, want string }{
		{"EUR", `"1000000.00"`, "line 6: court.price must not be more than 999999.99 EUR"},
		{"XYZ", `"25.00"`, "line 5: court.currency is not a currency that Stripe takes"},
		{"KWD", `"18.605"`, "line 6: court.price must end in 0, such as 18.600"},
		{"ISK", `"25.50"`,
			`line 6: court.price is "25.50", not an amount with the digits of its currency, such as "25"`},
		{"UGX", `"0.50"`, `line 6: court.price is "0.50", not an amount`},
		{"JPY", `"10.5"`, `line 6: court.price is "10.5", not an amount`},
		{"EUR", "\"10.00\"\ncapacity: 100000", "line 7: court.capacity must be between"},
		{"EUR", "\"500000.00\"\ncapacity: 2", "line 6: court.price times the capacity is more than 999999.99 EUR"},
		{"EUR", "\"25.00\"\npolicy: {freeUntil: 1h, fee: \"1000000.00\"}",
			"line 7: court.policy keeps a fee that must not be more than"},
		{"KWD", "\"25.000\"\npolicy: {freeUntil: 1h, fee: \"1.005\"}",
			"line 7: court.policy keeps a fee that must end in 0"},
		{"KWD", "\"25.000\"\noffers: [{slug: o, name: O, price: \"1.005\"}]",
			"line 7: court.offers: o: price must end in 0"},
		{"UGX", "\"25\"\noffers: [{slug: o, name: O, price: \"1.50\"}]", "line 7: court.offers[0].price is \"1.50\""},
	} {
		_, err := resourcefile.Read([]byte(priced(c.currency, c.price)))
		require.Error(t, err, "%+v", c)
		require.Contains(t, err.Error(), "problem", "%+v", c)
		require.Contains(t, err.Error(), c.want, fmt.Sprintf("%+v", c))
	}
}
