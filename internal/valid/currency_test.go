package valid_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// M4: From https://docs.stripe.com/currencies by hand, not from the table.
func TestParseDecimal_StripesFigures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, text string
		amount     int64
	}{
		// The zero-decimal currencies except UGX.
		{"BIF", "500", 500}, {"CLP", "500", 500}, {"DJF", "500", 500}, {"GNF", "500", 500}, {"JPY", "500", 500},
		{"KMF", "500", 500}, {"KRW", "500", 500}, {"MGA", "500", 500}, {"PYG", "500", 500}, {"RWF", "500", 500},
		{"VND", "500", 500}, {"VUV", "500", 500}, {"XAF", "500", 500}, {"XOF", "500", 500}, {"XPF", "500", 500},
		// The three-decimal currencies, in multiples of 10.
		{"BHD", "5.120", 5120}, {"JOD", "5.120", 5120}, {"KWD", "5.120", 5120}, {"OMR", "5.120", 5120},
		{"TND", "5.120", 5120},
		// Whole amounts counted in hundredths.
		{"ISK", "5", 500}, {"UGX", "5", 500}, {"UGX", "50000", 5000000}, {"ISK", "2550", 255000},
		// Two decimals in charges, none in payouts.
		{"HUF", "10.45", 1045}, {"TWD", "800.45", 80045},
		{"USD", "10.99", 1099}, {"EUR", "25.00", 2500}, {"GBP", "0.30", 30}, {"IDR", "9999999999.99", 999999999999},
	} {
		for _, code := range []string{c.code, strings.ToLower(c.code)} {
			got, err := valid.ParseDecimal(c.text, code)
			require.NoError(t, err, "%s %s", code, c.text)
			require.Equal(t, c.amount, got, "%s %s", code, c.text)
			require.Equal(t, c.text, valid.Decimal(c.amount, code), code)
			require.Empty(t, valid.ChargeProblem(c.amount, code), "%s %s", code, c.text)
			require.Equal(t, "-"+c.text, valid.Decimal(-c.amount, code), code)
		}
	}
	for _, code := range []string{"ISK", "UGX"} {
		got, err := valid.ParseDecimal("5.00", code)
		require.NoError(t, err)
		require.Equal(t, int64(500), got)
	}
	for code, texts := range map[string][]string{
		"UGX": {"0.50", "5.0", "5.000", "5.", "", ".00", "5.5"}, "ISK": {"25.50", "5.01"},
		"JPY": {"10.5", "10.00", "10."},
		"KWD": {"18.60", "18", "18.6050"}, "HUF": {"10", "10.4"},
		"EUR": {"25", "25.0", "-1.00", "+1.00", "1e2.00", "92233720368547758.08"},
	} {
		for _, text := range texts {
			_, err := valid.ParseDecimal(text, code)
			require.Error(t, err, "%s %s", code, text)
		}
	}
}

// M24: The largest amounts, and refused ones beside the nearest accepted.
func TestChargeProblem_StripesLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code   string
		amount int64
		right  bool
	}{
		{"eur", 99999999, true}, {"eur", 100000000, false}, {"usd", 99999999, true}, {"usd", 100000000, false},
		{"ugx", 99999900, true}, {"ugx", 99999999, false}, {"ugx", 100000000, false}, {"krw", 99999999, true},
		{"krw", 100000000, false},
		{"idr", 999999999999, true}, {"idr", 1000000000000, false}, {"huf", 100000000, true}, {"cop", 9999999999, true},
		{"inr", 999999999, true}, {"inr", 1000000000, false}, {"jpy", 9999999999, true}, {"jpy", 10000000000, false},
		{"lbp", 99999999999, true},
		{"kwd", 18605, false}, {"kwd", 18600, true}, {"kwd", 18610, true}, {"bhd", 1, false}, {"jod", 5, false},
		{"omr", 11, false}, {"tnd", 109, false},
		{"isk", 2550, false}, {"isk", 2500, true}, {"ugx", 50, false}, {"ugx", 1, false}, {"huf", 17501, true},
		{"twd", 1, true},
		{"eur", 0, true}, {"isk", 0, true}, {"eur", -1, false},
	} {
		require.Equal(t, c.right, valid.ChargeProblem(c.amount, c.code) == "", "%s %d: %s", c.code, c.amount,
			valid.ChargeProblem(c.amount, c.code))
	}
	for code, least := range map[string]int64{
		"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "krw": 50, "huf": 17500, "czk": 1500, "mxn": 1000, "thb": 1000,
		"aed": 200, "hkd": 400, "ugx": 0, "isk": 0,
	} {
		require.Equal(t, least, valid.CurrencyOf(code).Least, code)
	}
	for _, code := range []string{"xyz", "", "xxx", "xau", "eek", "euro", "€"} {
		_, known := valid.LookupCurrency(code)
		require.False(t, known, code)
	}
	for _, code := range []string{"eur", "EUR", "xcg", "kwd", "ugx", "twd"} {
		_, known := valid.LookupCurrency(code)
		require.True(t, known, code)
	}
}

// Amounts that can be charged, in every currency.
func TestDecimal_RoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, _ := valid.LookupCurrency(rapid.SampledFrom(valid.Codes()).Draw(t, "currency"))
		minor := rapid.Int64Range(0, c.Most/c.Step).Draw(t, "amount") * c.Step
		got, err := valid.ParseDecimal(valid.Decimal(minor, c.Code), c.Code)
		require.NoError(t, err)
		require.Equal(t, minor, got)
		require.Empty(t, valid.ChargeProblem(minor, c.Code))
	})
}
