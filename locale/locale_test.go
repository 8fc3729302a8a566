package locale

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

func TestMatch_QualityValues(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "", "fr": "fr", "en": "en", "FR-ca": "fr", "de": "", "de, fr;q=0.5": "fr", "frr": "",
		"fr;q=0.4, en;q=0.8": "en", "en;q=0.8, fr;q=0.9": "fr", "en, fr": "en", "fr, en": "fr",
		"fr;q=0, en;q=0.1": "en", "fr;q=0": "", "*": "en", "de, *;q=0.1": "en", "fr;q=0.1, *;q=0.5": "en",
		"fr;q=2, en;q=0.1": "en", "fr;q=x": "", "fr;level=1": "", " fr ; q=0.7 , en;q=0.6": "", "fr;q=NaN": "",
		"fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7": "fr", ",,;;fr": "", ",fr": "fr",
	} {
		if header == " fr ; q=0.7 , en;q=0.6" {
			want = "fr"
		}
		require.Equal(t, want, Match(header), "%q", header)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("fr-FR,fr;q=0.9,en-US;q=0.8,*;q=0.1")
	f.Fuzz(func(t *testing.T, header string) {
		require.Contains(t, []string{"", "en", "fr"}, Match(header))
	})
}

func TestOf_Languages(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"": "en", "en-GB": "en", "fr": "fr", "FR-be": "fr", "de": "en", "frr": "en",
	} {
		require.Equal(t, want, Of(tag).Tag(), tag)
	}
	require.Equal(t, "en", Locale{}.Tag())
}

func TestN_Plurals(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][2]string{
		0: {"0 hours", "0 heure"}, 1: {"1 hour", "1 heure"}, 2: {"2 hours", "2 heures"},
	} {
		for i, tag := range []string{"en", "fr"} {
			require.Equal(t, want[i], Of(tag).N(n, "%d hour", "%d hours"))
		}
	}
	require.Equal(t, "100 % of it", Of("fr").T("100 % of it"), "a text without arguments is not a format")
}

func TestMoney_Currencies(t *testing.T) {
	t.Parallel()
	for m, want := range map[booking.Money][2]string{
		{Minor: 1250, Currency: "eur"}:      {"EUR 12.50", "12,50\u00a0€"},
		{Minor: 5, Currency: "eur"}:         {"EUR 0.05", "0,05\u00a0€"},
		{Currency: "eur"}:                   {"EUR 0.00", "0,00\u00a0€"},
		{Minor: 5000000, Currency: "ugx"}:   {"UGX 50000", "50\u202f000\u00a0UGX"},
		{Minor: 1200, Currency: "isk"}:      {"ISK 12", "12\u00a0ISK"},
		{Minor: -5, Currency: "eur"}:        {"EUR -0.05", "-0,05\u00a0€"},
		{Minor: -123456, Currency: "usd"}:   {"USD -1234.56", "-1\u202f234,56\u00a0USD"},
		{Minor: 1250, Currency: "jpy"}:      {"JPY 1250", "1\u202f250\u00a0JPY"},
		{Minor: 1250, Currency: "KWD"}:      {"KWD 1.250", "1,250\u00a0KWD"},
		{Minor: 100000000, Currency: "usd"}: {"USD 1000000.00", "1\u202f000\u202f000,00\u00a0USD"},
	} {
		require.Equal(t, want[0], Of("en").Money(m))
		require.Equal(t, want[1], Of("fr").Money(m))
	}
	require.Equal(t, "Gratuit", Of("fr").Price(booking.Money{Currency: "eur"}))
	require.Equal(t, "Free of charge", Of("").Price(booking.Money{Currency: "eur"}))
	require.Equal(t, "EUR 1.00", Of("").Price(booking.Money{Minor: 100, Currency: "eur"}))
}

func TestLength_Units(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration][2]string{
		time.Hour: {"1 hour", "1 heure"}, 90 * time.Minute: {"90 minutes", "90 minutes"},
		48 * time.Hour: {"2 days", "2 jours"},
	} {
		require.Equal(t, want[0], Of("en").Length(d))
		require.Equal(t, want[1], Of("fr").Length(d))
	}
}

func TestDates_KnownValues(t *testing.T) {
	t.Parallel()
	tokyo, err := time.LoadLocation("Asia/Tokyo")
	require.NoError(t, err)
	en, fr := Of("en"), Of("fr")
	start := time.Date(2026, 12, 1, 14, 0, 0, 0, time.UTC)
	require.Equal(t, "Tuesday, 1 December 2026, 23:00 to 23:45 (Asia/Tokyo)", en.Span(start, start.Add(45*time.Minute),
		tokyo))
	require.Equal(t, "Tuesday, 1 December 2026, 23:00 to Wednesday, 2 December 2026, 01:00 (Asia/Tokyo)",
		en.Span(start, start.Add(2*time.Hour), tokyo))
	require.Equal(t, "mardi 1er décembre 2026, de 23:00 à 23:45 (Asia/Tokyo)", fr.Span(start, start.Add(45*time.Minute),
		tokyo))
	require.Equal(t, "mardi 1er décembre 2026 à 23:00 JST", fr.Moment(start, tokyo))
	require.Equal(t, "Tuesday, 1 December 2026, 23:00 JST", en.Moment(start, tokyo))
	days, months := map[string]bool{}, map[string]bool{}
	for n := range 365 {
		day := start.AddDate(0, 0, n)
		days[fr.Weekday(day)], months[fr.DayMonth(day)] = true, true
	}
	require.Len(t, days, 7)
	require.Len(t, months, 365)
	require.Equal(t, "lundi 15 août 2033", fr.Day(time.Date(2033, 8, 15, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, "vendredi 28 février 2025", fr.Day(time.Date(2025, 2, 28, 0, 0, 0, 0, time.UTC)))
}

// What a policy costs, before a time is chosen.
func TestPolicy_BeforeATime(t *testing.T) {
	t.Parallel()
	eur := func(minor int64) booking.Money { return booking.Money{Minor: minor, Currency: "eur"} }
	for _, c := range []struct {
		policy booking.Policy
		price  booking.Money
		want   string
	}{
		{booking.Policy{}, eur(2500), "You may cancel free of charge until it begins, and not after that."},
		{booking.Policy{Never: true}, eur(2500), "It can be neither cancelled nor moved."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: 48 * time.Hour}, eur(2500),
			"You may cancel free of charge until 2 days before it begins, and not after that."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: 2 * time.Hour, FeePercent: 50, FeeMinor: 500}, eur(5000),
			"You may cancel free of charge until 2 days before it begins. After that, and until 2 hours before it " +
				"begins, EUR 30.00 of EUR 50.00 is kept."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: time.Hour}, eur(2500),
			"You may cancel free of charge until 1 hour before it begins, and not after that."},
		{booking.Policy{FreeUntil: 365 * 24 * time.Hour, FeePercent: 100}, eur(2500),
			"You may cancel free of charge until 365 days before it begins. After that, and until it begins, " +
				"EUR 25.00 of EUR 25.00 is kept."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: time.Hour, FeePercent: 50}, eur(0),
			"You may cancel until 1 hour before it begins."},
	} {
		require.Equal(t, c.want, Locale{}.Policy(c.policy, c.price))
	}
	require.Equal(t, "Vous pouvez annuler sans frais jusqu’à 2 jours avant le début. Ensuite, et jusqu’au début, "+
		"30,00\u00a0€ sur 50,00\u00a0€ sont retenus.",
		Of("fr").Policy(booking.Policy{FreeUntil: 48 * time.Hour, FeePercent: 50, FeeMinor: 500}, eur(5000)))
}

// Stripe takes at most 1,200 characters beside its button.
func TestTerms_LongestSentence(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/Argentina/ComodRivadavia")
	require.NoError(t, err)
	b := booking.Booking{Kind: booking.KindBooking, Status: booking.StatusPending,
		Start:  time.Date(2027, 9, 29, 12, 0, 0, 0, time.UTC),
		Amount: booking.Money{Minor: 99999999, Currency: "eur"},
		Policy: booking.Policy{FreeUntil: 48 * time.Hour, FeePercent: 50}}
	for _, tag := range []string{"en", "fr"} {
		text := Of(tag).Terms(b, zone, b.Start.Add(-100*24*time.Hour))
		require.NotEmpty(t, text)
		require.Less(t, len([]rune(text)), 600)
	}
	b.Status = booking.StatusCancelled
	require.Empty(t, Of("fr").Terms(b, zone, b.Start))
}
