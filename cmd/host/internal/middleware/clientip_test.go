package middleware_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

func TestClientIP_TrustedProxies(t *testing.T) {
	t.Parallel()
	none := middleware.NewClientIP(0, nil)
	one := middleware.NewClientIP(1, nil)
	two := middleware.NewClientIP(2, nil)
	nets := middleware.NewClientIP(0, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("2001:db8::/32")})
	for name, c := range map[string]struct {
		finder *middleware.ClientIP
		peer   string
		header []string
		want   string
	}{
		"no proxy trusted":            {none, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"no header":                   {one, "10.0.0.1:1", nil, "10.0.0.1"},
		"one proxy":                   {one, "10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"what the client invented":    {one, "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		"several headers":             {one, "10.0.0.1:1", []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		"a stranger's header":         {one, "198.51.100.9:1", []string{"1.1.1.1"}, "198.51.100.9"},
		"loopback":                    {one, "[::1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"mapped":                      {one, "[::ffff:10.0.0.1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"garbage":                     {one, "10.0.0.1:1", []string{"unknown"}, "10.0.0.1"},
		"two proxies":                 {two, "10.0.0.1:1", []string{"1.1.1.1, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		"two proxies, one in between": {two, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"a network": {nets, "203.0.113.5:1", []string{"1.1.1.1, 198.51.100.7, 203.0.113.6"},
			"198.51.100.7"},
		"a network of v6":      {nets, "[2001:db8::1]:1", []string{"198.51.100.7"}, "198.51.100.7"},
		"outside the networks": {nets, "10.0.0.1:1", []string{"198.51.100.7"}, "10.0.0.1"},
		"no peer":              {one, "@", []string{"198.51.100.7"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.header}}
			require.Equal(t, c.want, c.finder.Of(r))
		})
	}
}

func FuzzClientIP(f *testing.F) {
	f.Add("198.51.100.7, 10.0.0.2")
	f.Add("[::1]:80, unknown")
	finder := middleware.NewClientIP(1, nil)
	f.Fuzz(func(t *testing.T, header string) {
		got := finder.Of(&http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {header}}})
		if _, err := netip.ParseAddr(got); err != nil {
			t.Fatalf("%q gave %q", header, got)
		}
	})
}
