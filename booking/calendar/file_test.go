package calendar_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFile_AllProperties(t *testing.T) {
	t.Parallel()
	b := sold(func(b *booking.Booking) { b.Offer, b.Sequence, b.Party = "long", 3, 4 })
	opts := calendar.FileOptions{Link: "https://example.com/success?booking=1&token=a,b;c",
		Organizer: "court@example.com"}
	file, err := calendar.File(domain, court, b, opts)
	require.NoError(t, err)
	cal := read(t, file)
	require.ElementsMatch(t, []string{"PRODID", "VERSION", "CALSCALE", "METHOD"}, names(cal.Props))
	require.Equal(t, "2.0", text(t, cal.Props, "VERSION"))
	require.Equal(t, "PUBLISH", text(t, cal.Props, "METHOD"))
	require.Equal(t, "GREGORIAN", text(t, cal.Props, "CALSCALE"))
	require.Equal(t, "-//booking-platform//booking-platform//EN", text(t, cal.Props, "PRODID"))

	props := event(t, file).Props
	require.ElementsMatch(t, []string{
		"UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "STATUS", "DTSTART", "DTEND", "SUMMARY",
		"DESCRIPTION", "URL", "ORGANIZER",
	}, names(props))
	require.Equal(t, bookingID+"@example.com", text(t, props, "UID"))
	require.Equal(t, "Court – An hour and a half", text(t, props, "SUMMARY"))
	require.Equal(t, "By the river.\nBring shoes.", text(t, props, "DESCRIPTION"))
	require.Equal(t, "CONFIRMED", text(t, props, "STATUS"))
	sequence, err := props.Get("SEQUENCE").Int()
	require.NoError(t, err)
	require.Equal(t, 3, sequence)
	require.Equal(t, b.Start, instant(t, props, "DTSTART"))
	require.Equal(t, b.End, instant(t, props, "DTEND"))
	require.Equal(t, b.CreatedAt, instant(t, props, "CREATED"))
	require.Equal(t, b.UpdatedAt.Truncate(time.Second), instant(t, props, "LAST-MODIFIED"))
	require.Equal(t, b.UpdatedAt.Truncate(time.Second), instant(t, props, "DTSTAMP"))
	uri, err := props.Get("URL").URI()
	require.NoError(t, err)
	require.Equal(t, opts.Link, uri.String())
	require.Equal(t, "mailto:court@example.com", props.Get("ORGANIZER").Value)

	again, err := calendar.File(domain, court, b, opts)
	require.NoError(t, err)
	require.Equal(t, file, again, "deterministic output")
}

func TestFile_OptionalPropertiesLeftOut(t *testing.T) {
	t.Parallel()
	r := court
	r.Description = ""
	file, err := calendar.File(domain, r, sold(), calendar.FileOptions{})
	require.NoError(t, err)
	props := event(t, file).Props
	require.ElementsMatch(t, []string{"UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "STATUS", "DTSTART",
		"DTEND", "SUMMARY"}, names(props))
	require.Equal(t, "Court", text(t, props, "SUMMARY"))

	file, err = calendar.File(domain, r, sold(func(b *booking.Booking) { b.Offer = "gone-by-now" }),
		calendar.FileOptions{})
	require.NoError(t, err)
	require.Equal(t, "Court – gone-by-now", text(t, event(t, file).Props, "SUMMARY"))
}

func TestFile_Status(t *testing.T) {
	t.Parallel()
	for status, want := range map[booking.Status]string{
		booking.StatusConfirmed: "CONFIRMED", booking.StatusCompleted: "CONFIRMED", booking.StatusNoShow: "CONFIRMED",
		booking.StatusCancelled: "CANCELLED",
	} {
		file, err := calendar.File(domain, court, sold(func(b *booking.Booking) { b.Status = status }),
			calendar.FileOptions{})
		require.NoError(t, err, status)
		require.Equal(t, want, text(t, event(t, file).Props, "STATUS"), status)
	}
	for _, change := range []func(*booking.Booking){
		func(b *booking.Booking) { b.Status = booking.StatusPending },
		func(b *booking.Booking) { b.Status = booking.StatusExpired },
		func(b *booking.Booking) { b.Status = "something new" },
		func(b *booking.Booking) { b.Kind = booking.KindBlock },
	} {
		b := sold(change)
		file, err := calendar.File(domain, court, b, calendar.FileOptions{})
		require.Nil(t, file)
		var none *calendar.NoFileError
		require.ErrorAs(t, err, &none)
		require.Equal(t, calendar.NoFileError{ID: b.ID, Kind: b.Kind, Status: b.Status}, *none)
		require.ErrorContains(t, err, b.ID)
	}
}

// Whatever zone the instants have.
func TestFile_TimesInUTC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, start, dtstart, dtend string }{
		{"Europe/Paris", "2026-03-29T01:30:00+01:00", "20260329T003000Z", "20260329T023000Z"},
		// Spring forward at 01:00Z, within.
		{"Europe/Paris", "2026-10-25T02:30:00+02:00", "20261025T003000Z", "20261025T023000Z"},
		// The hour that comes twice: its first,
		{"Europe/Paris", "2026-10-25T02:30:00+01:00", "20261025T013000Z", "20261025T033000Z"}, // and its second.
		{"Europe/Paris", "2026-07-01T23:30:00+02:00", "20260701T213000Z", "20260701T233000Z"},
		// Across midnight in Paris, not in UTC.
		{"Europe/Paris", "2026-07-02T01:00:00+02:00", "20260701T230000Z", "20260702T010000Z"},
		// And the other way round.
		{"America/New_York", "2026-12-31T18:30:00-05:00", "20261231T233000Z", "20270101T013000Z"},
		// Year's end in UTC.
		{"Pacific/Apia", "2011-12-29T23:30:00-10:00", "20111230T093000Z", "20111230T113000Z"},
		// Into a day that never was.
		{"Australia/Lord_Howe", "2026-04-05T01:30:00+11:00", "20260404T143000Z", "20260404T163000Z"},
		// Half an hour back.
		{"Asia/Kathmandu", "2028-02-29T00:00:00+05:45", "20280228T181500Z", "20280228T201500Z"},
		// 29 February, three quarters.
		{"Europe/Paris", "9998-12-31T23:30:00+01:00", "99981231T223000Z", "99990101T003000Z"}, // As late as possible.
	} {
		zone, err := time.LoadLocation(c.zone)
		require.NoError(t, err)
		start, err := time.Parse(time.RFC3339, c.start)
		require.NoError(t, err)
		file, err := calendar.File(domain, court, sold(func(b *booking.Booking) {
			b.Start, b.End, b.UpdatedAt, b.CreatedAt = start.In(zone), start.Add(2*time.Hour).In(zone),
				b.UpdatedAt.In(zone), b.CreatedAt.In(zone)
		}), calendar.FileOptions{})
		require.NoError(t, err)
		props := event(t, file).Props
		require.Equal(t, c.dtstart, props.Get("DTSTART").Value, c.start)
		require.Equal(t, c.dtend, props.Get("DTEND").Value, c.start)
		require.Equal(t, start.UTC(), instant(t, props, "DTSTART"))
		require.Equal(t, start.Add(2*time.Hour).UTC(), instant(t, props, "DTEND"))
		instant(t, props, "DTSTAMP")
		instant(t, props, "LAST-MODIFIED")
	}
}

func TestFile_InvalidArguments(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "example.com\r\nBEGIN:VEVENT", "exam\u2028ple.com", "\xff.com", "a b", "a@b",
		strings.Repeat("a", 254)} {
		_, err := calendar.File(bad, court, sold(), calendar.FileOptions{})
		require.ErrorContains(t, err, "domain", bad)
		_, err = calendar.Feed(bad, court, []booking.Booking{sold()}, calendar.FeedOptions{})
		require.ErrorContains(t, err, "domain", bad)
	}
	for _, bad := range []string{"/success", "javascript:alert(1)", "https://", "https://example.com/a b",
		"https://example.com/\r\nBEGIN:VEVENT", "https://example.com/\u2028", "https://example.com/\xff",
		"https://example.com/\n"} {
		_, err := calendar.File(domain, court, sold(), calendar.FileOptions{Link: bad})
		require.ErrorContains(t, err, "link", bad)
	}
	for _, bad := range []string{"Ada <ada@example.com>", "ada", "ada@example.com\r\nX:1"} {
		_, err := calendar.File(domain, court, sold(), calendar.FileOptions{Organizer: bad})
		require.ErrorContains(t, err, "organizer", bad)
	}
	other := sold(func(b *booking.Booking) { b.ResourceID = bookingID })
	_, err := calendar.File(domain, court, other, calendar.FileOptions{})
	require.ErrorContains(t, err, "another resource")
	_, err = calendar.Feed(domain, court, []booking.Booking{other}, calendar.FeedOptions{})
	require.ErrorContains(t, err, "another resource")
	for _, bad := range []time.Duration{time.Second, -time.Hour} {
		_, err = calendar.Feed(domain, court, nil, calendar.FeedOptions{Refresh: bad})
		require.ErrorContains(t, err, "read again")
	}
	for _, good := range []string{"localhost", "127.0.0.1", "::1", "my_host", "exämple.com"} {
		file, err := calendar.File(good, court, sold(), calendar.FileOptions{Link: "https://exämple.com/"})
		require.NoError(t, err)
		require.Equal(t, bookingID+"@"+good, text(t, event(t, file).Props, "UID"))
	}
}

func written(t tester, name, description string) (summary, body string) {
	t.Helper()
	r := court
	r.Name, r.Description = name, description
	file, err := calendar.File(domain, r, sold(), calendar.FileOptions{})
	require.NoError(t, err)
	props := event(t, file).Props
	if props.Get("DESCRIPTION") != nil {
		body = text(t, props, "DESCRIPTION")
	}
	return text(t, props, "SUMMARY"), body
}

func TestText_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"Müller, Söhne; & Co: \"the\" 'court'", `C:\new\, \; \\n \N \`, `\`, `\\`, `\n`, "a,b;c:d", ",", ";", "日本語の予約",
		"👩‍👩‍👧‍👦 family",
		"x\tone tab", " leading and trailing ", "<b>no</b> <i>markup</i>", "END:VEVENT", "BEGIN:VCALENDAR",
		"é́combining", "…",
	} {
		summary, description := written(t, s, s+"\n\n"+s+"\n")
		require.Equal(t, s, summary)
		require.Equal(t, s+"\n\n"+s+"\n", description)
	}
}

// At 75 octets, wherever characters of one to four octets, escapes and spaces fall.
func TestText_Folding(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"a", "ü", "€", "👍", "👩‍👧", `\`, ",", ";", "\n", " ", "\t", "a ", "ü ", "<", "a>",
		"  a"} {
		for shift := range 80 {
			s := strings.Repeat("x", shift) + strings.Repeat(piece, 120) + "end"
			_, description := written(t, "Court", s)
			require.Equal(t, s, description, "%q after %d", piece, shift)
		}
	}
}

func TestText_CannotInjectLines(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\v", "\f", "\u0085", "\u2028", "\u2029",
		"\x00\r\n", "\\\r\n", "\\\n"} {
		for _, evil := range []string{
			end + "BEGIN:VEVENT", end + "END:VEVENT" + end + "BEGIN:VEVENT" + end + "UID:1@evil",
			end + "ATTENDEE:mailto:eve@example.com",
			end + " folded", end + "STATUS:CANCELLED", end + end + end,
		} {
			s := "Court" + evil
			summary, description := written(t, s, s)
			require.NotContains(t, summary, "\n")
			require.True(t, strings.HasPrefix(summary, "Court"), summary)
			require.True(t, strings.HasPrefix(description, "Court"), description)

			// The feed for staff includes customers' text.
			b := sold(func(b *booking.Booking) {
				b.Customer = booking.Customer{FirstName: s, LastName: evil}
				b.Reference, b.Offer = evil, "x"+evil
			})
			r := court
			r.Name = s
			file, err := calendar.Feed(domain, r, []booking.Booking{b}, calendar.FeedOptions{})
			require.NoError(t, err)
			e := event(t, file)
			require.ElementsMatch(t, []string{
				"UID", "DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "STATUS", "DTSTART", "DTEND", "SUMMARY",
				"DESCRIPTION",
			}, names(e.Props))
			require.Equal(t, "CONFIRMED", text(t, e.Props, "STATUS"))
			require.Equal(t, bookingID+"@example.com", text(t, e.Props, "UID"))
		}
	}
	summary, description := written(t, "a\r\nb\x00\x1b[31m\x7f\u0080c\xffd", "a\r\nb\r\rc\u2028d\x00\te\xc3")
	require.Equal(t, "a b[31mc\uFFFDd", summary)
	require.Equal(t, "a\nb\n\nc\nd\te\uFFFD", description)
}

// Valid text is unchanged after a round trip; any other bytes give a readable file.
func TestText_RandomInput(t *testing.T) {
	t.Parallel()
	pieces := []string{
		"\r\n", "\r", "\n", "\\", "\\n", ",", ";", ":", "\"", " ", "\t", "\u2028", "\u0085", "\x00", "\xff", "\xe2\x82",
		"ü", "€", "👍", "<", ">",
		"BEGIN:VEVENT", "END:VCALENDAR", "a", "some words to fill the line ",
	}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 60).Draw(t, "pieces") {
			if rapid.Bool().Draw(t, "free") {
				b.WriteString(rapid.String().Draw(t, "text"))
			} else {
				b.WriteString(rapid.SampledFrom(pieces).Draw(t, "piece"))
			}
		}
		s := b.String()
		_, description := written(t, "Court", s)
		require.True(t, utf8.ValidString(description))
		if isPlain(s) {
			require.Equal(t, s, description)
		}
		// A second round trip changes nothing more.
		_, again := written(t, "Court", description)
		require.Equal(t, description, again)
	})
}

// isPlain: a text changes only by escapes.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
	})
}
