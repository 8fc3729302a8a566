package resourcefile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/resourcefile"
)

const least = "slug: court\nname: Court\ntimeZone: UTC\nslotLength: 1h\ncurrency: EUR\nprice: \"25.00\"\n"

func read(t *testing.T, text string) []booking.Resource {
	t.Helper()
	out, err := resourcefile.Read([]byte(text))
	require.NoError(t, err)
	return out
}

var leastResource = booking.Resource{
	Slug: "court", Name: "Court", TimeZone: "UTC", SlotLength: time.Hour,
	Price: booking.Money{Minor: 2500, Currency: "eur"},
}

func TestRead_Forms(t *testing.T) {
	t.Parallel()
	require.Equal(t, []booking.Resource{leastResource}, read(t, least))
	other := strings.Replace(least, "court", "other", 1)
	otherResource := leastResource
	otherResource.Slug = "other"
	both := []booking.Resource{leastResource, otherResource}
	item := func(text string) string {
		return "- " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
	}
	require.Equal(t, both, read(t, item(least)+item(other)), "a list")
	require.Equal(t, both, read(t, least+"---\n"+other), "documents")
	one := `{"slug":"court","name":"Court","timeZone":"UTC","slotLength":"1h","currency":"eur","price":"25.00"}`
	require.Equal(t, []booking.Resource{leastResource}, read(t, one), "JSON")
	require.Equal(t, both, read(t, "\n[\n\t"+one+",\n\t"+strings.Replace(one, "court", "other", 1)+"\n]\n"),
		"a list in JSON, with tabs")
	require.Equal(t, "😀/", read(t, strings.Replace(one, `"Court"`, `"\ud83d\ude00\/"`, 1))[0].Name,
		"escapes that YAML does not know")
	require.EqualValues(t, 2500, read(t, strings.Replace(one, `"25.00"`, `25.00`, 1))[0].Price.Minor,
		"digits are kept without quotes")
	require.EqualValues(t, 25, read(t, strings.NewReplacer("EUR", "jpy", `"25.00"`,
		"25").Replace(least))[0].Price.Minor)
}

func TestRead_AllFields(t *testing.T) {
	t.Parallel()
	r := read(t, least+`
description: "two\nlines"
capacity: 6
slotStep: 15m
bufferBefore: 90s
bufferAfter: 0s
notice: 1d12h
horizon: 60d
holdFor: 20m
holdCap: 2d
policy: &p {never: true, freeUntil: 2d, closedFrom: 1h, feePercent: 50, fee: "5.00"}
active: false
hours: {mon: ["9:00-12:30", "14:00-2:00"], sun: &s ["0:00-24:00"], sat: *s}
exceptions:
  2026-12-25: closed
  "2026-12-26": []
  2026-12-24: ["10:00-14:00"]
offers:
  - {slug: long, name: Long, slotLength: 90m, slotStep: 30m, bufferBefore: 1m, bufferAfter: 2m, price: "30.00"}
  - {slug: old, name: Old, price: "0.00", active: false}
`)[0]
	want := leastResource
	want.Description, want.Capacity, want.SlotStep, want.BufferBefore = "two\nlines", 6, 15*time.Minute, 90*time.Second
	want.Notice, want.Horizon, want.HoldFor, want.HoldCap = 36*time.Hour, 60*24*time.Hour, 20*time.Minute, 48*time.Hour
	want.Policy = booking.Policy{Never: true, FreeUntil: 48 * time.Hour, ClosedFrom: time.Hour, FeePercent: 50,
		FeeMinor: 500}
	want.Inactive = true
	want.Hours = []booking.Hours{
		{Weekday: time.Monday, Opens: 540, Closes: 750}, {Weekday: time.Monday, Opens: 840, Closes: 1560},
		{Weekday: time.Sunday, Opens: 0, Closes: 1440}, {Weekday: time.Saturday, Opens: 0, Closes: 1440},
	}
	want.Exceptions = []booking.Exception{
		{Date: booking.Date{Year: 2026, Month: 12, Day: 25}}, {Date: booking.Date{Year: 2026, Month: 12, Day: 26}},
		{Date: booking.Date{Year: 2026, Month: 12, Day: 24}, Hours: []booking.Interval{{Opens: 600, Closes: 840}}},
	}
	want.Offers = []booking.Offer{
		{Slug: "long", Name: "Long", SlotLength: 90 * time.Minute, SlotStep: 30 * time.Minute,
			BufferBefore: time.Minute, BufferAfter: 2 * time.Minute,
			Price: booking.Money{Minor: 3000, Currency: "eur"}},
		{Slug: "old", Name: "Old", Price: booking.Money{Currency: "eur"}, Inactive: true},
	}
	require.Equal(t, want, r)
}

// Each mistake is reported once, with line and field.
func TestRead_ReportsLineAndField(t *testing.T) {
	t.Parallel()
	for added, want := range map[string]string{
		"colour: red":                    "line 7: court.colour is unknown; known are slug, name",
		"Capacity: 3":                    "line 7: court.Capacity is unknown",
		"<<: {name: x}":                  "line 7: court.<< is unknown",
		"name: Twice":                    "line 7: court.name is there twice",
		"description:":                   "line 7: court.description has no value",
		"description: 12":                "line 7: court.description must be text",
		"capacity: six":                  "line 7: court.capacity must be a whole number",
		"capacity: 1.5":                  "line 7: court.capacity must be a whole number",
		"capacity: 0":                    "line 7: court.capacity must not be 0",
		"capacity: 99999999999999999999": "line 7: court.capacity must be a whole number",
		"capacity: 10001":                "line 7: court.capacity must be between 1 and 10000",
		"slotStep: " +
			"1.5h": `line 7: court.slotStep is "1.5h", not a duration such as 45m, 1h30m or 14d`,
		"slotStep: 60":            "line 7: court.slotStep must be a duration",
		"slotStep: 0s":            "line 7: court.slotStep must not be 0; leave it out",
		"slotStep: 30m1h":         `line 7: court.slotStep is "30m1h"`,
		"slotStep: \"\"":          `line 7: court.slotStep is ""`,
		"slotStep: 2d":            "line 7: court.slotStep must be between 1m and 1d",
		"horizon: 99999d9999999h": "line 7: court.horizon must be between 1s and 3650d",
		"horizon: 999999d":        `line 7: court.horizon is "999999d"`,
		"active: yes please":      "line 7: court.active must be true or false",
		"policy: [1]":             "line 7: court.policy must have fields",
		"policy: {fee: " +
			"5}": `line 7: court.policy.fee is "5", not an amount with the digits of its currency, such as "25.00"`,
		"policy: {refund: 5}":                "line 7: court.policy.refund is unknown",
		"policy: {freeUntil: 1h, never: no}": "line 7: court.policy.never must be true or false",
		"policy: {closedFrom: 1h}":           "line 7: court.policy is free for longer than it can be cancelled",
		"hours: {}":                          "line 7: court.hours are never open",
		"hours: {mon: []}":                   "line 7: court.hours are never open",
		"hours: {monday: []}":                "line 7: court.hours.monday is unknown; known are mon",
		"hours: {mon: 9-12}":                 "line 7: court.hours.mon must be a list of opening hours",
		"hours:\n  mon:\n    - 9-12": `line 9: court.hours.mon[0] is "9-12", not opening hours such as ` +
			`9:00-12:30`,
		"hours: {mon: [9:00-12:00, 11:00-13:00]}": "line 7: court.hours overlap",
		"exceptions: {25.12.2026: closed}":        "line 7: court.exceptions.25.12.2026 is not a date",
		"exceptions: {2026-02-30: closed}":        "line 7: court.exceptions.2026-02-30 is not a date",
		"exceptions: {2026-12-25: shut}": "line 7: court.exceptions.2026-12-25 must be closed, " +
			"or a list",
		"exceptions: {2026-12-25: closed, 2026-12-25: []}": "line 7: court.exceptions.2026-12-25 is there twice",
		"offers: {slug: x}":                                  "line 7: court.offers must be a list",
		"offers:\n- slug: x\n  name: X":                      "line 8: court.offers[0].price is required",
		"offers:\n- slug: x\n  price: 1.00":                  "line 7: court.offers: x: name is required",
		"offers: [{slug: x, name: X, price: 1.00, step: 1}]": "line 7: court.offers[0].step is unknown",
		"offers: [3]":                                        "line 7: court.offers[0] must have fields",
		"\"a\\nb\": 1":                                       `line 7: court."a\nb" is unknown`,
		"? [a]\n: b":                                         "line 7: court has a field without a name",
	} {
		_, err := resourcefile.Read([]byte(least + added))
		require.Error(t, err, added)
		require.True(t, strings.HasPrefix(err.Error(), "1 problem\n  "+want), "%s\n%v", added, err)
	}
	for text, want := range map[string]string{
		"":                           "1 problem\n  the file has no resource",
		"# nothing":                  "1 problem\n  the file has no resource",
		"[]":                         "1 problem\n  the file has no resource",
		"hello":                      "1 problem\n  line 1: must be a resource or a list of resources",
		"- hello":                    "1 problem\n  line 1: resource 1 must have fields",
		"a: [":                       "1 problem\n  line 1: is not YAML: ",
		`{"slug": "a", }x`:           "1 problem\n  ",
		"a: *missing":                "1 problem\n  is not YAML: unknown anchor 'missing' referenced",
		least + "---\n" + least:      "1 problem\n  line 8: court is there twice, first in line 1",
		strings.Repeat("#", 1<<20+1): "1 problem\n  the file is larger than 1048576 bytes",
	} {
		_, err := resourcefile.Read([]byte(text))
		require.Error(t, err, text[:min(len(text), 100)])
		require.True(t, strings.HasPrefix(err.Error(), want), "%s\n%v", text[:min(len(text), 100)], err)
	}
}

// Problems found here and problems found by package booking come in one list.
func TestRead_ReportsAllProblems(t *testing.T) {
	t.Parallel()
	_, err := resourcefile.Read([]byte(`
- slug: A b
  name: ""
  timeZone: Mars
  capacity: -1
  slotLength: 60
  price: 25
  hours: {mon: [25:00-26:00]}
  offers:
    - {slug: long, name: Long, slotStep: 25h, price: "1.00"}
- slug: fine
  name: Fine
`))
	require.EqualError(t, err, `13 problems
  line 2: "A b".currency is required
  line 2: "A b".slug must be 1 to 63 of a-z, 0-9 and hyphens, not begin with a hyphen, and not look like an id
  line 3: "A b".name is required
  line 4: "A b".timeZone is not an IANA time zone that this system knows, such as Europe/Paris
  line 5: "A b".capacity must be between 1 and 10000
  line 6: "A b".slotLength must be a duration such as 45m, 1h30m or 14d
  line 7: "A b".price is "25", not an amount with the digits of its currency, such as "25.00"
  line 8: "A b".hours.mon[0] is "25:00-26:00", not opening hours such as 9:00-12:30
  line 9: "A b".offers: long: slot length must be between 1m and 31d, long: slot step must be between 1m and 1d
  line 11: fine.currency is required
  line 11: fine.price is required
  line 11: fine.slotLength must be between 1m and 31d
  line 11: fine.timeZone is not an IANA time zone that this system knows, such as Europe/Paris`)
}

func TestRead_LinesOfJSON(t *testing.T) {
	t.Parallel()
	var indented strings.Builder
	enc := json.NewEncoder(&indented)
	enc.SetIndent("", "\t")
	require.NoError(t, enc.Encode(map[string]any{"a": 1, "currency": "EUR",
		"hours": map[string]any{"mon": []string{"9:00-10:00", "x"}}, "name": "N", "price": 25, "slotLength": "1h",
		"slug": "s", "timeZone": "UTC"}))
	_, err := resourcefile.Read([]byte(indented.String()))
	require.ErrorContains(t, err, "3 problems\n  line 2: s.a is unknown")
	require.ErrorContains(t, err, "\n  line 7: s.hours.mon[1] is")
	require.ErrorContains(t, err, "\n  line 11: s.price is")
}

func TestRead_BoundsAliases(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("- &r\n  slug: court\n  offers: &o\n")
	bomb.WriteString(strings.Repeat("  - {slug: a, name: b, price: \"1.00\"}\n", 1000))
	bomb.WriteString(strings.Repeat("- *r\n", 100_000))
	begun := time.Now()
	_, err := resourcefile.Read([]byte(bomb.String()))
	require.ErrorContains(t, err, "problems")
	require.Less(t, len(err.Error()), 50_000)
	require.Less(t, time.Since(begun), 10*time.Second)
	_, err = resourcefile.Read([]byte("&a\n- *a\n- *a"))
	require.Error(t, err)
	_, err = resourcefile.Read([]byte(strings.Repeat("[", 100_000)))
	require.Error(t, err)
	_, err = resourcefile.Read([]byte("&a {slug: x, policy: *a, offers: [*a, *a], hours: {mon: *a}}"))
	require.Error(t, err)
}

func priced(currency, price string) string {
	return strings.NewReplacer("EUR", currency, `"25.00"`, price).Replace(least)
}

// M4: An amount is in the unit in which Stripe charges.
func TestRead_AmountsInStripesUnit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		currency, price string
		minor           int64
	}{
		{"UGX", `"50000"`, 5000000}, {"ugx", "50000", 5000000}, {"UGX", `"50000.00"`, 5000000},
		{"ISK", `"2550"`, 255000}, {"ISK", "2550.00", 255000},
		{"JPY", "2500", 2500}, {"KRW", `"2500"`, 2500}, {"KWD", `"18.600"`, 18600}, {"HUF", `"10.45"`, 1045},
		{"TWD", "800.45", 80045},
	} {
		r := read(t, priced(c.currency, c.price)+"policy: {freeUntil: 1d, fee: "+c.price+
			"}\noffers: [{slug: o, name: O, price: "+c.price+"}]\n")[0]
		require.Equal(t, c.minor, r.Price.Minor, "%+v", c)
		require.Equal(t, c.minor, r.Policy.FeeMinor, "%+v", c)
		require.Equal(t, c.minor, r.Offers[0].Price.Minor, "%+v", c)
	}
}

// M24: A price, an offer's price and a fee that Stripe would always refuse.
func TestRead_RefusesWhatStripeNeverCharges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ currency, price, want string }{
		{"EUR", `"1000000.00"`, "line 6: court.price must not be more than 999999.99 EUR"},
		{"XYZ", `"25.00"`, "line 5: court.currency is not a currency that Stripe takes"},
		{"KWD", `"18.605"`, "line 6: court.price must end in 0, such as 18.600"},
		{"ISK", `"25.50"`,
			`line 6: court.price is "25.50", not an amount with the digits of its currency, such as "25"`},
		{"UGX", `"0.50"`, `line 6: court.price is "0.50", not an amount`},
		{"JPY", `"10.5"`, `line 6: court.price is "10.5", not an amount`},
		{"EUR", "\"10.00\"\ncapacity: 100000", "line 7: court.capacity must be between"},
		{"EUR", "\"500000.00\"\ncapacity: 2", "line 6: court.price times the capacity is more than 999999.99 EUR"},
		{"EUR", "\"25.00\"\npolicy: {freeUntil: 1h, fee: \"1000000.00\"}",
			"line 7: court.policy keeps a fee that must not be more than"},
		{"KWD", "\"25.000\"\npolicy: {freeUntil: 1h, fee: \"1.005\"}",
			"line 7: court.policy keeps a fee that must end in 0"},
		{"KWD", "\"25.000\"\noffers: [{slug: o, name: O, price: \"1.005\"}]",
			"line 7: court.offers: o: price must end in 0"},
		{"UGX", "\"25\"\noffers: [{slug: o, name: O, price: \"1.50\"}]", "line 7: court.offers[0].price is \"1.50\""},
	} {
		_, err := resourcefile.Read([]byte(priced(c.currency, c.price)))
		require.Error(t, err, "%+v", c)
		require.Contains(t, err.Error(), "problem", "%+v", c)
		require.Contains(t, err.Error(), c.want, fmt.Sprintf("%+v", c))
	}
}

func FuzzRead(f *testing.F) {
	f.Add(least)
	f.Add(`[{"slug":"a","hours":{"mon":["9:00-12:00"]}}]`)
	f.Add("a: &a [*a]\n---\n? {}\n: - x")
	f.Fuzz(func(t *testing.T, text string) {
		resources, err := resourcefile.Read([]byte(text))
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		for _, r := range resources {
			require.NoError(t, r.Validate())
		}
	})
}
