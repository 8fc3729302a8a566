package stripetest

import (
	"fmt"
	"strconv"
	"strings"
)

// currencies are those Stripe takes money in, in lower case as it writes them.
var currencies = setOf(strings.Fields(`
	aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp bzd cad cdf chf clp cny cop
	crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd
	jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn
	nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb
	tjs top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
	bhd jod kwd omr tnd`)...)

// decimals is how many digits of an amount stand behind the point, where it is
// not two.
var decimals = map[string]int{
	"bif": 0, "clp": 0, "djf": 0, "gnf": 0, "jpy": 0, "kmf": 0, "krw": 0, "mga": 0,
	"pyg": 0, "rwf": 0, "ugx": 0, "vnd": 0, "vuv": 0, "xaf": 0, "xof": 0, "xpf": 0,
	"bhd": 3, "jod": 3, "kwd": 3, "omr": 3, "tnd": 3,
}

// leastAmount is the smallest total above zero that Stripe charges, in minor
// units, for the currencies it settles in. Others depend on a rate of exchange;
// for them nothing is refused here.
var leastAmount = map[string]int64{
	"usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
	"eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
	"nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}

// formatAmount writes an amount of minor units for people: 1250 eur is EUR 12.50,
// 1250 jpy is JPY 1250.
func formatAmount(minor int64, currency string) string {
	places, ok := decimals[currency]
	if !ok {
		places = 2
	}
	digits := strconv.FormatInt(minor, 10)
	if places > 0 {
		digits = fmt.Sprintf("%0*d", places+1, minor)
		digits = digits[:len(digits)-places] + "." + digits[len(digits)-places:]
	}
	return strings.ToUpper(currency) + " " + digits
}
