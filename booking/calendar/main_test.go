package calendar_test

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-ical"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const (
	domain    = "example.com"
	bookingID = "019a2b3c-0000-7000-8000-000000000001"
)

var court = booking.Resource{
	ID: "019a2b3c-0000-7000-8000-00000000000a", Slug: "court", Name: "Court", TimeZone: "Europe/Paris",
	Description: "By the river.\nBring shoes.",
	Offers:      []booking.Offer{{Slug: "long", Name: "An hour and a half"}},
}

func sold(change ...func(*booking.Booking)) booking.Booking {
	start := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	b := booking.Booking{
		ID: bookingID, Kind: booking.KindBooking, ResourceID: court.ID, Start: start, End: start.Add(time.Hour),
		Party:     1,
		Status:    booking.StatusConfirmed,
		Customer:  booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
		CreatedAt: start.Add(-48 * time.Hour), UpdatedAt: start.Add(-47*time.Hour + 123456*time.Microsecond),
	}
	for _, c := range change {
		c(&b)
	}
	return b
}

type tester interface {
	require.TestingT
	Helper()
}

// read checks the lines and parses with an independent library.
func read(t tester, file []byte) *ical.Calendar {
	t.Helper()
	text := string(file)
	require.True(t, strings.HasSuffix(text, "\r\n"))
	for row := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		require.NotEmpty(t, row)
		require.LessOrEqual(t, len(row), 75, "%q", row)
		require.True(t, utf8.ValidString(row), "a line is folded within a character: %q", row)
		require.False(t, strings.ContainsFunc(row, func(r rune) bool {
			return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
		}), "%q", row)
	}
	decoder := ical.NewDecoder(bytes.NewReader(file))
	cal, err := decoder.Decode()
	require.NoError(t, err, text)
	_, err = decoder.Decode()
	require.Error(t, err, "one calendar per file")
	return cal
}

func event(t tester, file []byte) ical.Event {
	t.Helper()
	cal := read(t, file)
	require.Len(t, cal.Children, 1, "one component")
	require.Len(t, cal.Events(), 1)
	return cal.Events()[0]
}

func text(t tester, props ical.Props, name string) string {
	t.Helper()
	require.Len(t, props.Values(name), 1, name)
	// An unescaped comma would begin another value.
	values, err := props.Get(name).TextList()
	require.NoError(t, err)
	require.Len(t, values, 1, name)
	return values[0]
}

func instant(t tester, props ical.Props, name string) time.Time {
	t.Helper()
	require.Len(t, props.Values(name), 1, name)
	p := props.Get(name)
	require.Empty(t, p.Params)
	require.Regexp(t, `^\d{8}T\d{6}Z$`, p.Value, name)
	at, err := p.DateTime(time.Local)
	require.NoError(t, err)
	return at
}

func names(props ical.Props) (out []string) {
	for name := range props {
		out = append(out, name)
	}
	return out
}
