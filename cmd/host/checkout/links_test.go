package checkout_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/checkout"
)

const (
	secret = "0123456789abcdef0123456789abcdef"
	older  = "fedcba9876543210fedcba9876543210"
	one    = "01936f4e-0000-7000-8000-000000000001"
	two    = "01936f4e-0000-7000-8000-000000000002"
)

func links(t *testing.T, secrets ...string) *checkout.Links {
	t.Helper()
	l, err := checkout.NewLinks("https://example.com/", secrets)
	require.NoError(t, err)
	return l
}

func TestOwnerToken(t *testing.T) {
	t.Parallel()
	l := links(t, secret)
	token := l.Token(one)
	require.Len(t, token, 43)
	require.Equal(t, token, l.Token(one), "a repeat answers the same link")
	require.True(t, l.Owns(one, token))
	for _, wrong := range []string{"", "x", token[:42], token + "A", token + "=", strings.ToUpper(token), l.Token(two)} {
		require.False(t, l.Owns(one, wrong), wrong)
	}
	// Two tokens must not differ only in bits that decoding drops.
	last := token[:42] + string(token[42]+1)
	require.False(t, l.Owns(one, last))
}

func TestOwnerTokenRotation(t *testing.T) {
	t.Parallel()
	before, during, after := links(t, older), links(t, secret, older), links(t, secret)
	require.True(t, during.Owns(one, before.Token(one)))
	require.True(t, before.Owns(one, before.Token(one)))
	require.False(t, after.Owns(one, before.Token(one)), "a retired secret is out")
	require.Equal(t, after.Token(one), during.Token(one), "the first signs")
}

func TestPage(t *testing.T) {
	t.Parallel()
	l := links(t, secret)
	u, err := url.Parse(l.Page(one))
	require.NoError(t, err)
	require.Equal(t, "https://example.com/success", u.Scheme+"://"+u.Host+u.Path)
	require.True(t, l.Owns(u.Query().Get("booking"), u.Query().Get("token")))
}

func TestLinksFailClosed(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]string{nil, {""}, {secret, ""}} {
		_, err := checkout.NewLinks("https://example.com", secrets)
		require.Error(t, err)
	}
	_, err := checkout.NewLinks("", []string{secret})
	require.Error(t, err)
}
