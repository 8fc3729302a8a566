//go:build linux

package security

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A byte counts as random if sixteen tokens have more than eight values of it; each kind
// of token has at least sixteen such bytes.
func randomTokens(t *testing.T, c *cluster) {
	email, password := c.addUser(t, "OPS")
	resource := c.addResource(t)
	customer := c.stranger(t)
	starts := customer.slots(resource)
	kinds := map[string][][]byte{}
	for n := range 16 {
		staff := c.stranger(t)
		require.Equal(t, http.StatusOK, staff.logIn(email, password).status)
		someone := c.stranger(t)
		b := someone.book(resource, starts[n], c.someone())
		a := staff.post("/api/resources/"+resource+"/feeds", nil)
		require.Equal(t, http.StatusCreated, a.status, a.brief())
		for kind, token := range map[string]string{
			"session": staff.cookies[sessionName], "device": staff.cookies[deviceName], "booking": b.Token,
			"feed": c.feedToken(t, a),
		} {
			raw, err := base64.RawURLEncoding.DecodeString(token)
			require.NoError(t, err, "%s: %s", kind, token)
			kinds[kind] = append(kinds[kind], raw)
		}
	}
	for kind, tokens := range kinds {
		random := 0
		for i := range tokens[0] {
			seen := map[byte]bool{}
			for _, token := range tokens {
				require.Len(t, token, len(tokens[0]), kind)
				seen[token[i]] = true
			}
			if len(seen) > 8 {
				random++
			}
		}
		require.GreaterOrEqual(t, random*8, 128, "%s: too few bits change", kind)
	}
}

// feedToken returns the token in the address of a new feed.
func (c *cluster) feedToken(t *testing.T, a answer) string {
	t.Helper()
	var feed struct{ URL string }
	a.into(t, &feed)
	token, ok := strings.CutPrefix(strings.TrimSuffix(feed.URL, ".ics"), public+"/calendar/")
	require.True(t, ok, feed.URL)
	c.know("the token of a feed", token)
	return token
}

// No column of the database contains a token, neither as text nor as bytes.
func hashedTokens(t *testing.T, c *cluster) {
	ops := c.member(t, "OPS")
	resource := c.addResource(t)
	customer := c.stranger(t)
	b := customer.book(resource, customer.slots(resource)[0], c.someone())
	feed := c.feedToken(t, ops.post("/api/resources/"+resource+"/feeds", nil))
	dump := c.dump(t)
	require.Contains(t, dump, b.ID, "what is stored is in the dump")
	require.Contains(t, dump, ops.email)
	for what, token := range map[string]string{
		"session": ops.cookies[sessionName], "device": ops.cookies[deviceName], "booking": b.Token, "feed": feed,
		"password": ops.password,
	} {
		require.NotEmpty(t, token, what)
		forms := []string{token, hex.EncodeToString([]byte(token))}
		if raw, err := base64.RawURLEncoding.DecodeString(token); err == nil {
			forms = append(forms, hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw))
		}
		for _, form := range forms {
			require.False(t, strings.Contains(strings.ToLower(dump), strings.ToLower(form)),
				"the %s is in the database", what)
		}
	}
	// The stored value is not accepted as a token.
	var stored string
	require.NoError(t,
		c.db.QueryRow(`SELECT translate(rtrim(encode(token_hash, 'base64'), '='), '+/', '-_') FROM booking_platform.sessions`+ofUser, ops.email).Scan(&stored))
	require.Equal(t, nowhere, ops.with(stored).onEvery())
}

// dump returns every row of every table as text.
func (c *cluster) dump(t *testing.T) string {
	t.Helper()
	var tables []string
	rows, err := c.db.Query(`SELECT format('%I.%I', schemaname, tablename) FROM pg_catalog.pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var table string
		require.NoError(t, rows.Scan(&table))
		tables = append(tables, table)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(tables), 8)
	var all strings.Builder
	for _, table := range tables {
		var text string
		require.NoError(t, c.db.QueryRow(`SELECT coalesce(string_agg(r::text, E'\n'), '') FROM `+table+
			` AS r`).Scan(&text))
		all.WriteString(text + "\n")
	}
	return all.String()
}
