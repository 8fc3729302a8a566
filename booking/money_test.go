package booking_test

import (
	"database/sql"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMoney_String(t *testing.T) {
	t.Parallel()
	eur := booking.Money{Minor: 5, Currency: "eur"}
	require.True(t, eur.Equal(booking.Money{Minor: 5, Currency: "EUR"}))
	require.False(t, eur.Equal(booking.Money{Minor: 6, Currency: "eur"}))
	require.False(t, eur.Equal(booking.Money{Minor: 5, Currency: "usd"}))
	require.False(t, eur.IsZero())
	require.True(t, booking.Money{Currency: "eur"}.IsZero())
	for _, test := range []struct {
		minor int64
		heads int
		fits  bool
	}{{0, 10000, true}, {math.MaxInt64, 1, true}, {math.MaxInt64/2 + 1, 2, false}, {math.MaxInt64, 10000, false}} {
		_, fits := booking.Times(booking.Money{Minor: test.minor}, test.heads)
		require.Equal(t, test.fits, fits)
	}
}

// M4.
func TestMoney_UnmarshalText(t *testing.T) {
	t.Parallel()
	for _, m := range []struct {
		minor          int64
		currency, text string
	}{{2500, "eur", "25.00"}, {5, "eur", "0.05"}, {0, "usd", "0.00"}, {2500, "jpy", "2500"}, {1, "kwd", "0.001"},
		{5000000, "ugx", "50000"}, {255000, "ISK", "2550"}, {0, "ugx", "0"}, {1045, "huf", "10.45"},
		{80045, "twd", "800.45"}, {1<<63 - 1, "jpy", "9223372036854775807"},
		{1<<63 - 1, "eur", "92233720368547758.07"}} {
		money := booking.Money{Minor: m.minor, Currency: m.currency}
		require.Equal(t, m.text, money.Decimal())
		got, err := booking.ParseMoney(m.text, m.currency)
		require.NoError(t, err)
		require.True(t, money.Equal(got), "%v is %v", money, got)
	}
	require.Equal(t, "-0.05 EUR", booking.Money{Minor: -5, Currency: "eur"}.String())
	require.Equal(t, "-92233720368547758.08", booking.Money{Minor: -1 << 63, Currency: "eur"}.Decimal())
	for _, wrong := range []string{"", "25", "25.0", "25.000", "25,00", ".50", "-1.00", "+1.00", "1e2.00", " 1.00",
		"92233720368547758.08", "1_0.00", "25.00 EUR"} {
		_, err := booking.ParseMoney(wrong, "eur")
		require.Error(t, err, wrong)
	}
	for _, wrong := range []string{"25.00", "25.", "1.0"} {
		_, err := booking.ParseMoney(wrong, "jpy")
		require.Error(t, err, wrong)
	}
	// A fraction of a zero-decimal currency is invalid, but zeros after the point are
	// allowed.
	for _, wrong := range []string{"25.50", "0.5", "25.", "25.000"} {
		for _, currency := range []string{"isk", "ugx"} {
			_, err := booking.ParseMoney(wrong, currency)
			require.Error(t, err, "%s %s", wrong, currency)
		}
	}
	require.Equal(t, "25.50 ISK", booking.Money{Minor: 2550, Currency: "isk"}.String(),
		"fractions written by SQL are printed")
}

// M24: Refused wherever a resource is written.
func TestResource_UnchargeablePrices(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	minor := func(amount int64, currency string) booking.Money {
		return booking.Money{Minor: amount, Currency: currency}
	}
	for _, c := range []struct {
		price    booking.Money
		capacity int
		field    string // field that is refused; empty if accepted
	}{
		{minor(99999999, "eur"), 1, ""}, {minor(100000000, "eur"), 1, "price"}, {minor(100000000, "USD"), 1, "price"},
		{minor(50000000, "eur"), 2, "price"}, {minor(49999999, "eur"), 2, ""}, {minor(9999, "eur"), 10000, ""},
		{minor(10000, "eur"), 10000, "price"},
		{minor(2500, "xyz"), 1, "currency"}, {minor(0, "xyz"), 1, "currency"}, {minor(2500, "XXX"), 1, "currency"},
		{minor(18605, "kwd"), 1, "price"}, {minor(18610, "kwd"), 1, ""}, {minor(1, "bhd"), 1, "price"},
		{minor(2550, "isk"), 1, "price"}, {minor(255000, "isk"), 1, ""}, {minor(50, "ugx"), 1, "price"},
		{minor(5000000, "UGX"), 1, ""},
		{minor(99999900, "ugx"), 1, ""}, {minor(100000000, "ugx"), 1, "price"},
		{minor(99999999, "krw"), 1, ""}, {minor(100000000, "krw"), 1, "price"}, {minor(10, "jpy"), 1, ""},
		{minor(100000000, "idr"), 1, ""}, {minor(1000000000000, "idr"), 1, "price"}, {minor(100000000, "huf"), 1, ""},
		{minor(100000000, "cop"), 1, ""},
		// Minimum amounts depend on the account, and free of charge is not charged.
		{minor(25, "eur"), 1, ""}, {minor(1, "jpy"), 1, ""}, {minor(0, "eur"), 1, ""}, {minor(0, "isk"), 10000, ""},
		{minor(0, "kwd"), 1, ""},
	} {
		t.Run(fmt.Sprintf("%d %s for %d", c.price.Minor, c.price.Currency, c.capacity), func(t *testing.T) {
			refused := func(err error, field string) {
				t.Helper()
				if c.field == "" {
					require.NoError(t, err)
					return
				}
				requireFields(t, err, field)
			}
			r := court()
			r.Slug = fmt.Sprintf("r-%d-%d-%x", c.price.Minor, c.capacity, c.price.Currency)
			r.Price, r.Capacity = c.price, c.capacity
			refused(r.Validate(), c.field)
			_, err := store.ApplyResource(t.Context(), r, booking.ApplyOptions{DryRun: true})
			refused(err, c.field)
			_, err = store.ApplyResource(t.Context(), r, booking.ApplyOptions{})
			refused(err, c.field)
			r.Slug += "-2"
			_, err = store.CreateResource(t.Context(), r)
			refused(err, c.field)
			if c.field == "currency" {
				return
			}
			// The same price for an offer of a free resource, and as a fee.
			offered := r
			offered.Slug += "-offer"
			offered.Price.Minor = 0
			offered.Offers = []booking.Offer{{Slug: "long", Name: "Long", SlotLength: 2 * time.Hour,
				Price: c.price}}
			_, err = store.CreateResource(t.Context(), offered)
			refused(err, "offers")
			fee := r
			fee.Slug += "-fee"
			fee.Price.Minor, fee.Capacity = 0, 1
			fee.Policy = booking.Policy{FreeUntil: time.Hour, FeeMinor: c.price.Minor}
			if c.capacity == 1 {
				refused(fee.Validate(), "policy")
			}
		})
	}
}

// M24: Minimum amounts cause warnings, each with the price's name.
func TestResource_Warnings(t *testing.T) {
	t.Parallel()
	r := court()
	require.Empty(t, r.Warnings())
	r.Price.Minor = 0
	r.Offers = []booking.Offer{{Slug: "free", Name: "Free", Price: booking.Money{Currency: "eur"}},
		{Slug: "cheap", Name: "Cheap", Price: booking.Money{Minor: 49}},
		{Slug: "fair", Name: "Fair", Price: booking.Money{Minor: 50}}}
	require.Equal(t, []booking.Warning{{Field: "offers.cheap.price",
		Text: "is 0.49 EUR: less than 0.50 EUR, the least that Stripe charges for an account paid out in EUR"}},
		r.Warnings())
	for currency, least := range map[string]int64{"eur": 50, "GBP": 30, "jpy": 50, "huf": 17500, "mxn": 1000,
		"czk": 1500} {
		r := court()
		r.Price = booking.Money{Minor: least, Currency: currency}
		require.Empty(t, r.Warnings(), currency)
		r.Price.Minor--
		require.Len(t, r.Warnings(), 1, currency)
		require.NoError(t, r.Validate(), "a warning is not a refusal")
	}
	r = court()
	r.Price = booking.Money{Minor: 100, Currency: "ugx"}
	require.Empty(t, r.Warnings(), "Stripe documents no least amount of it")
}

// M4: Fee and refund are multiples of the currency's step, and their sum is the amount.
func TestPolicy_FeesOfSpecialCurrencies(t *testing.T) {
	t.Parallel()
	start := time.Now().Add(time.Hour)
	for _, c := range []struct {
		currency                 string
		amount                   int64
		percent                  int
		fixed, wantFee, wantBack int64
	}{
		{"isk", 255000, 33, 0, 84100, 170900}, {"ugx", 5000000, 33, 0, 1650000, 3350000}, {"ugx", 100, 50, 0, 0, 100},
		{"isk", 10100, 50, 100, 5100, 5000}, {"ugx", 99900, 99, 0, 98900, 1000}, {"isk", 100, 100, 0, 100, 0},
		{"kwd", 18610, 33, 0, 6140, 12470}, {"bhd", 10, 50, 0, 0, 10}, {"omr", 1010, 50, 10, 510, 500},
		{"tnd", 5120, 100, 0, 5120, 0},
		{"huf", 1045, 33, 0, 344, 701}, {"twd", 80045, 50, 0, 40022, 40023}, {"eur", 101, 33, 0, 33, 68},
		{"jpy", 101, 33, 0, 33, 68},
	} {
		p := booking.Policy{FreeUntil: 24 * time.Hour, FeePercent: c.percent, FeeMinor: c.fixed}
		terms := p.Terms(start, start.Add(-time.Hour), booking.Money{Minor: c.amount, Currency: c.currency})
		require.Equal(t, c.wantFee, terms.Fee.Minor, "%+v", c)
		require.Equal(t, c.wantBack, terms.Refund.Minor, "%+v", c)
		require.Equal(t, c.amount, c.wantFee+c.wantBack, "the test's own figures")
	}
}

// M4: Prices without decimals are stored and refunded in Stripe's unit.
func TestCancel_UnrefundableAmount(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		for n, c := range []struct {
			price         booking.Money
			wrong, right  int64
			text, partial string
		}{
			{booking.Money{Minor: 5000000, Currency: "ugx"}, 150, 100, "100000 UGX", "1 UGX"},
			{booking.Money{Minor: 255000, Currency: "isk"}, 99, 9900, "5100 ISK", "99 ISK"},
			{booking.Money{Minor: 18610, Currency: "kwd"}, 5, 10, "37.220 KWD", "0.010 KWD"},
			{booking.Money{Minor: 1045, Currency: "huf"}, -1, 1, "20.90 HUF", "0.01 HUF"},
		} {
			create(t, store, func(r *booking.Resource) {
				r.Slug, r.Price, r.Capacity = fmt.Sprint("court", n), c.price,
					2
			})
			confirmed := func(hours int) booking.Booking {
				req := request(slot(hours))
				req.Resource, req.Party = fmt.Sprint("court", n), 2
				b := hold(t, store, req)
				b, err := store.Confirm(t.Context(), b.ID)
				require.NoError(t, err)
				require.Equal(t, c.text, b.Amount.String())
				return b
			}
			cancel := func(b booking.Booking, refund int64) (booking.Booking, error) {
				return store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: &refund})
			}
			b := confirmed(0)
			if c.wrong > 0 {
				_, err := cancel(b, c.wrong)
				requireFields(t, err, "refund")
			}
			got, err := cancel(b, c.right)
			require.NoError(t, err)
			require.Equal(t, c.partial, got.Refund.String())
			got, err = cancel(confirmed(1), 0)
			require.NoError(t, err)
			require.True(t, got.Refund.IsZero())
			b = confirmed(2)
			got, err = cancel(b, b.Amount.Minor)
			require.NoError(t, err)
			require.Equal(t, c.text, got.Refund.String())
		}
		requireInvariants(t, db)
	})
}
