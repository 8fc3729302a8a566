package bookingmail

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// Each language has every text, with as many %s as English.
func TestLanguages_Complete(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		compare(t, l.tag, reflect.ValueOf(english), reflect.ValueOf(l))
		for _, topic := range customerTopics {
			require.Contains(t, l.subject, topic)
			require.Contains(t, l.lead, topic)
		}
		for _, topic := range ownerTopics {
			require.Contains(t, l.owner, topic)
		}
	}
	require.Equal(t, []string{"en", "fr"}, Languages())
}

func compare(t *testing.T, path string, want, got reflect.Value) {
	t.Helper()
	switch want.Kind() {
	case reflect.Struct:
		for i := range want.NumField() {
			compare(t, path+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i))
		}
	case reflect.Map:
		require.Equal(t, want.Len(), got.Len(), path)
		for _, key := range want.MapKeys() {
			require.True(t, got.MapIndex(key).IsValid(), "%s lacks %s", path, key)
			compare(t, path+"."+key.String(), want.MapIndex(key), got.MapIndex(key))
		}
	case reflect.Array:
		for i := range want.Len() {
			compare(t, path, want.Index(i), got.Index(i))
		}
	case reflect.Func:
		require.False(t, got.IsNil(), path)
	case reflect.String:
		require.NotEmpty(t, got.String(), path)
		require.Equal(t, strings.Count(want.String(), "%s"), strings.Count(got.String(), "%s"), path)
		require.Equal(t, strings.Count(want.String(), "%"), strings.Count(got.String(), "%"), path)
	default:
		t.Fatalf("%s: the test does not know the type %s", path, want.Type())
	}
}

func TestLanguages_DatesAndMoney(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	start := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	require.Equal(t, "Tuesday, 1 December 2026, 10:00 to 11:30 (Europe/Paris)",
		english.span(start, start.Add(90*time.Minute), zone))
	require.Equal(t, "mardi 1er décembre 2026, 10:00 à 11:30 (Europe/Paris)",
		french.span(start, start.Add(90*time.Minute), zone))
	require.Equal(t, "mardi 1er décembre 2026, 10:00 à mercredi 2 décembre 2026, 10:00 (Europe/Paris)",
		french.span(start, start.Add(24*time.Hour), zone))
	require.Equal(t, "EUR 25.00", english.money(booking.Money{Minor: 2500, Currency: "eur"}))
	require.Equal(t, "25,00\u00a0EUR", french.money(booking.Money{Minor: 2500, Currency: "eur"}))
	require.Equal(t, "JPY 2500", english.money(booking.Money{Minor: 2500, Currency: "jpy"}))
	for tag, want := range map[string]string{"fr": "fr", "FR_ca": "fr", "en-GB": "en", "de": "", "": "", "french": ""} {
		l, _ := languageOf(tag)
		require.Equal(t, want, l.tag, tag)
	}
}

func TestTerms_EachCase(t *testing.T) {
	t.Parallel()
	zone := time.UTC
	start := time.Date(2026, 12, 10, 12, 0, 0, 0, time.UTC)
	b := booking.Booking{Kind: booking.KindBooking, Status: booking.StatusConfirmed, Start: start,
		Amount: booking.Money{Minor: 2500, Currency: "eur"}}
	day := 24 * time.Hour
	for want, c := range map[string]struct {
		policy booking.Policy
		at     time.Time
		free   bool
	}{
		"neither":           {booking.Policy{Never: true}, start.Add(-day), false},
		"too late":          {booking.Policy{FreeUntil: 2 * day, ClosedFrom: day}, start.Add(-time.Hour), false},
		"is kept":           {booking.Policy{FreeUntil: 2 * day, FeePercent: 50}, start.Add(-5 * day), false},
		"; EUR 12.50":       {booking.Policy{FreeUntil: 2 * day, FeePercent: 50}, start.Add(-day), false},
		"not after that":    {booking.Policy{FreeUntil: day, ClosedFrom: day}, start.Add(-5 * day), false},
		"move it until":     {booking.Policy{}, start.Add(-5 * day), true},
		"9 December 2026, ": {booking.Policy{FreeUntil: day, ClosedFrom: day}, start.Add(-5 * day), false},
	} {
		one := b
		one.Policy = c.policy
		if c.free {
			one.Amount.Minor = 0
		}
		require.Contains(t, english.terms(one, zone, c.at), want)
	}
}
