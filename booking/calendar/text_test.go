package calendar_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
)

// written returns the name and description in a file.
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

// isPlain reports whether a text changes only by escapes.
func isPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029
	})
}
