package resourcefile_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/resourcefile"
)

func TestWrite_RoundTrip(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	rapid.Check(t, func(t *rapid.T) {
		duration := func(name string, least, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(int64(least/time.Second), int64(most/time.Second)).Draw(t,
				name)) * time.Second
		}
		slug := func(name string) string { return rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,30}`).Draw(t, name) }
		words := func(name, also string) string {
			return rapid.StringOfN(rapid.OneOf(
				rapid.RuneFrom([]rune(" aZ09:-#&*!|>'\"%@`{}[],?~<=+._\\/é日😀\u2028\ufeff"+also)),
				rapid.RuneFrom([]rune("yesnotruefalsenull0123456789.:- "))), 0, 20, -1).Draw(t, name)
		}
		currency := rapid.SampledFrom([]string{"eur", "jpy", "kwd", "isk", "ugx", "huf"}).Draw(t, "currency")
		money := func(name string) booking.Money {
			return booking.Money{Minor: rapid.OneOf(rapid.Int64Range(0, 100_000),
				rapid.Int64Range(0, 40_000_000)).Draw(t, name) / 100 * 100, Currency: currency}
		}
		r := booking.Resource{
			Slug: slug("slug"), Name: "N" + words("name", ""), Description: words("description", "\n\r\t"),
			TimeZone: "Europe/Paris",
			Capacity: rapid.IntRange(1, 2).Draw(t, "capacity"), SlotLength: duration("length", time.Minute, 31*day),
			SlotStep:     duration("step", time.Minute, day),
			BufferBefore: duration("before", 0, 7*day), BufferAfter: duration("after", 0, 7*day),
			Notice:  duration("notice", 0, 365*day),
			Horizon: duration("horizon", time.Second, 3650*day), HoldFor: duration("hold", time.Second, 30*day),
			HoldCap: duration("cap", 30*day, 90*day),
			Price:   money("price"), Inactive: rapid.Bool().Draw(t, "active"),
		}
		r.Policy = booking.Policy{
			Never: rapid.Bool().Draw(t, "never"), FreeUntil: duration("free", 10*day, 365*day),
			ClosedFrom: duration("closed", 0, 10*day),
			FeePercent: rapid.IntRange(0, 100).Draw(t, "percent"), FeeMinor: money("fee").Minor,
		}
		for n := range rapid.IntRange(0, 7).Draw(t, "days") {
			opens := rapid.IntRange(0, 700).Draw(t, "opens")
			r.Hours = append(r.Hours, booking.Hours{Weekday: time.Weekday((n + 1) % 7), Opens: opens,
				Closes: opens + rapid.IntRange(1, 700).Draw(t, "open for")})
		}
		for n := range rapid.IntRange(0, 3).Draw(t, "dates") {
			e := booking.Exception{Date: booking.Date{Year: 2026 + n, Month: 12, Day: 24}}
			if opens := rapid.IntRange(0, 1439).Draw(t, "exception"); opens%2 == 0 {
				e.Hours = []booking.Interval{{Opens: opens,
					Closes: opens + rapid.IntRange(1, 1440).Draw(t, "open for")}}
			}
			r.Exceptions = append(r.Exceptions, e)
		}
		for n := range rapid.IntRange(0, 3).Draw(t, "offers") {
			price := money("offer")
			r.Offers = append(r.Offers, booking.Offer{
				Slug: string(rune('a'+n)) + slug("offer slug"), Name: "O" + words("offer name", ""),
				SlotLength: duration("offer length", time.Minute, 31*day),
				SlotStep:   duration("offer step", time.Minute, day), BufferBefore: duration("offer before", 0, 7*day),
				Price: price, Inactive: rapid.Bool().Draw(t, "inactive"),
			})
		}
		written := r
		written.Offers = nil
		for _, o := range r.Offers {
			o.Price.Currency = currency
			written.Offers = append(written.Offers, o)
		}
		if r.Validate() != nil {
			return // Not a valid resource.
		}
		other := written
		other.Slug += "-2"
		var one, two bytes.Buffer
		require.NoError(t, resourcefile.Write(&one, written))
		got, err := resourcefile.Read(one.Bytes())
		require.NoError(t, err, one.String())
		require.Equal(t, []booking.Resource{r}, got, one.String())
		require.NoError(t, resourcefile.Write(&two, written, other))
		got, err = resourcefile.Read(two.Bytes())
		require.NoError(t, err, two.String())
		require.Len(t, got, 2)
		require.Equal(t, r, got[0])
	})
}

// Every short text of characters that mean something in YAML.
func TestWrite_TextRoundTrip(t *testing.T) {
	t.Parallel()
	r := leastResource
	r.SlotStep, r.Horizon, r.HoldFor, r.HoldCap, r.Capacity = time.Hour, time.Hour, time.Hour, time.Hour, 1
	var all []booking.Resource
	for n, texts := 0, []string{""}; n < 4; n++ {
		var longer []string
		for _, text := range texts {
			for _, c := range " \na\t\r#:-" {
				longer = append(longer, text+string(c))
			}
		}
		for _, text := range longer {
			r.Slug, r.Description = fmt.Sprint("r", len(all)), text
			all = append(all, r)
		}
		texts = longer
	}
	var out bytes.Buffer
	for part := range slices.Chunk(all, 500) {
		out.Reset()
		require.NoError(t, resourcefile.Write(&out, part...))
		got, err := resourcefile.Read(out.Bytes())
		require.NoError(t, err)
		require.Equal(t, part, got)
	}
}
