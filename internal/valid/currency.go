package valid

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Currency is how Stripe counts amounts of a currency, in minor units, and how people
// write them: https://docs.stripe.com/currencies.
type Currency struct {
	// Code is ISO 4217's in lower case.
	Code string
	// Places is how many decimal places minor units have: 2 in eur, 0 in jpy, 3 in kwd,
	// and 2 in isk and ugx, although they have no fractions.
	Places int
	// Digits is how many people write: Places, but 0 in isk and ugx.
	Digits int
	// Step divides every amount that Stripe charges or refunds: 100 in isk and ugx, 10
	// with three places, else 1.
	Step int64
	// Least is the smallest charge of an account that settles in this currency, 0 if not
	// documented. Other accounts have their minimum, converted.
	Least int64
	// Most is the largest charge, a multiple of Step.
	Most int64
}

// The presentment currencies of all countries, in the editions of 2023 to 2026.
const twoPlaces = `
	aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc
	cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr
	kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk
	php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah usd
	uyu uzs wst xcd xcg yer zar zmw`

const (
	noPlaces    = `bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf`
	threePlaces = `bhd jod kwd omr tnd`
	// Two places, always 00: the page's "special cases". huf and twd, also listed there,
	// are whole in payouts only.
	wholeOnly = `isk ugx`
)

// In minor units, by settlement currency.
var leastCharge = map[string]int64{
	"usd": 50, "aed": 200, "ars": 50, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "cop": 50, "czk": 1500,
	"dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "idr": 50, "ils": 50, "inr": 50, "jpy": 50, "krw": 50,
	"mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "php": 50, "pln": 200, "ron": 200, "rub": 50, "sek": 300, "sgd": 50,
	"thb": 1000, "zar": 50,
}

// Eight digits, more for these currencies; where editions of the page differ the largest
// counts, up to twelve digits.
const (
	mostCharge   = 99_999_999
	twelveDigits = 999_999_999_999
)

var mostChargeOf = map[string]int64{
	"cop": twelveDigits, "huf": twelveDigits, "idr": twelveDigits, "inr": 999_999_999, "jpy": 9_999_999_999,
	"lbp": twelveDigits,
}

var currencies = func() map[string]Currency {
	all := map[string]Currency{}
	add := func(codes string, places, digits int, step int64) {
		for _, code := range strings.Fields(codes) {
			most, special := mostChargeOf[code]
			if !special {
				most = mostCharge
			}
			all[code] = Currency{
				Code: code, Places: places, Digits: digits, Step: step,
				Least: leastCharge[code], Most: most - most%step,
			}
		}
	}
	add(twoPlaces, 2, 2, 1)
	add(noPlaces, 0, 0, 1)
	add(threePlaces, 3, 3, 10)
	add(wholeOnly, 2, 0, 100)
	return all
}()

// LookupCurrency takes a code in either case. False: Stripe does not charge in it.
func LookupCurrency(code string) (Currency, bool) {
	c, ok := currencies[strings.ToLower(code)]
	return c, ok
}

// CurrencyOf is for existing amounts: an unknown code has two places.
func CurrencyOf(code string) Currency {
	if c, ok := LookupCurrency(code); ok {
		return c
	}
	return Currency{Code: strings.ToLower(code), Places: 2, Digits: 2, Step: 1, Most: mostCharge}
}

// Decimal formats minor units with the currency's digits: 2500 is "25.00" in eur, "2500"
// in jpy, "2.500" in kwd and "25" in ugx. A fraction in isk or ugx gets two digits.
func Decimal(minor int64, currency string) string {
	c := CurrencyOf(currency)
	digits, sign := strconv.FormatInt(minor, 10), ""
	if minor < 0 {
		sign, digits = "-", digits[1:]
	}
	if missing := c.Places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	whole, part := digits[:len(digits)-c.Places], digits[len(digits)-c.Places:]
	if c.Digits == 0 && strings.Trim(part, "0") == "" {
		part = ""
	}
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}

// ParseDecimal parses what Decimal formats into minor units, see ChargeProblem. It must
// not be negative and have exactly the currency's digits, so that cents are not taken for
// euros; in isk and ugx "25.00" too.
func ParseDecimal(text, currency string) (int64, error) {
	c := CurrencyOf(currency)
	whole, part, point := strings.Cut(text, ".")
	if c.Digits == 0 && c.Places > 0 {
		if !point {
			part = strings.Repeat("0", c.Places)
		} else if part != "" && strings.Trim(part, "0") == "" {
			point = false
		}
	}
	if point == (c.Digits == 0) || len(part) != c.Places || whole == "" || len(whole) > 19 ||
		strings.Trim(whole+part, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not an amount with %d digits after the point, such as %s",
			text, c.Digits, Decimal(2500, currency))
	}
	minor, err := strconv.ParseInt(whole+part, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is too large an amount", text)
	}
	return minor, nil
}

// StepProblem returns why Stripe accepts no amount with these last digits, or "".
func StepProblem(minor int64, currency string) string {
	c := CurrencyOf(currency)
	switch {
	case minor%c.Step == 0:
		return ""
	case c.Digits == 0:
		return "must be a whole amount: Stripe takes no fractions of " + strings.ToUpper(c.Code)
	}
	return fmt.Sprintf("must end in 0, such as %s: Stripe takes no thousandths of %s",
		Decimal(minor-minor%c.Step, currency), strings.ToUpper(c.Code))
}

// StepRefusedIn returns the codes, sorted, for which an amount has a StepProblem.
func StepRefusedIn(minor int64) []string {
	var codes []string
	for code, c := range currencies {
		if minor%c.Step != 0 {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes
}

// ChargeProblem returns why Stripe never charges an amount, or "". Zero is fine, and less
// than Least depends on the account.
func ChargeProblem(minor int64, currency string) string {
	c := CurrencyOf(currency)
	switch {
	case minor < 0:
		return "must not be negative"
	case minor > c.Most:
		return fmt.Sprintf("must not be more than %s %s, the most that Stripe charges at once",
			Decimal(c.Most, currency), strings.ToUpper(c.Code))
	}
	return StepProblem(minor, currency)
}
