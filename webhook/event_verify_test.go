package webhook_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestVerify_Signatures(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795000000, 0)
	payload := event("evt_1", completed)
	by := func(secret string, age time.Duration) string { return sign(payload, secret, now.Add(-age)) }
	v1 := func(header string) string { return header[strings.Index(header, "v1="):] }
	at := func(age time.Duration) string { return fmt.Sprintf("t=%d", now.Add(-age).Unix()) }
	good := by("whsec_new", 0)

	for name, c := range map[string]struct {
		header  string
		secrets []string
		reason  webhook.Reason // "" is accepted
	}{
		"the only secret":       {header: good},
		"the new secret of two": {header: good, secrets: []string{"whsec_old", "whsec_new"}},
		"the old secret of two": {header: by("whsec_old", 0),
			secrets: []string{"whsec_new", "whsec_old"}},
		"a retired secret": {header: by("whsec_retired", 0),
			secrets: []string{"whsec_new", "whsec_old"}, reason: webhook.ReasonSignatureWrong},
		"rolled: signed with both, we have new": {header: by("whsec_old", 0) + "," + v1(good)},
		"rolled: signed with both, we have old": {header: good + "," + v1(by("whsec_old", 0)),
			secrets: []string{"whsec_old"}},
		"rolled: signed with neither": {header: by("whsec_a", 0) + "," + v1(by("whsec_b", 0)),
			reason: webhook.ReasonSignatureWrong},
		"a secret with white space":        {header: good, secrets: []string{" whsec_new\n"}},
		"a header with white space around": {header: " " + good + "\r\n"},
		"unknown schemes beside v1":        {header: good + ",v0=abcd,v2=xyz"},
		"as old as allowed":                {header: by("whsec_new", 300*time.Second)},
		"a second too old":                 {header: by("whsec_new", 301*time.Second), reason: webhook.ReasonTooOld},
		"as far ahead as allowed":          {header: by("whsec_new", -300*time.Second)},
		"a second too far ahead":           {header: by("whsec_new", -301*time.Second), reason: webhook.ReasonFuture},
		"too old and wrong":                {header: by("whsec_x", time.Hour), reason: webhook.ReasonSignatureWrong},
		"old, with a fresh time put before": {header: at(0) + "," + by("whsec_new", time.Hour),
			reason: webhook.ReasonTooOld},
		"old, with a fresh time put after": {header: by("whsec_new", time.Hour) + "," + at(0),
			reason: webhook.ReasonSignatureWrong},
		"no header":                {header: "", reason: webhook.ReasonSignatureMissing},
		"a blank header":           {header: " \t", reason: webhook.ReasonSignatureMissing},
		"garbage":                  {header: "garbage", reason: webhook.ReasonSignatureMalformed},
		"no time":                  {header: v1(good), reason: webhook.ReasonSignatureWrong},
		"a time that is no number": {header: "t=now," + v1(good), reason: webhook.ReasonSignatureMalformed},
		"a time beyond every clock": {header: "t=9223372036854775807," + v1(good),
			reason: webhook.ReasonSignatureWrong},
		"no signature":        {header: at(0), reason: webhook.ReasonSignatureWrong},
		"an empty signature":  {header: at(0) + ",v1=", reason: webhook.ReasonSignatureWrong},
		"half a signature":    {header: good[:len(good)-8], reason: webhook.ReasonSignatureWrong},
		"not hexadecimal":     {header: at(0) + ",v1=zz", reason: webhook.ReasonSignatureWrong},
		"only another scheme": {header: strings.Replace(good, "v1", "v0", 1), reason: webhook.ReasonSignatureWrong},
		"signed with nothing": {header: by("", 0), reason: webhook.ReasonSignatureWrong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secrets := c.secrets
			if secrets == nil {
				secrets = []string{"whsec_new"}
			}
			ev, err := webhook.Verify(payload, c.header, secrets, 0, now)
			if c.reason == "" {
				require.NoError(t, err)
				require.Equal(t, "evt_1", ev.ID)
				return
			}
			var rejected *webhook.RejectedError
			require.ErrorAs(t, err, &rejected)
			require.Equal(t, c.reason, rejected.Reason)
			require.Zero(t, ev)
		})
	}
}

// Extreme times with a valid signature are rejected, without an overflow that lets them
// pass.
func TestVerify_ExtremeTimes(t *testing.T) {
	t.Parallel()
	payload := event("evt_1", completed)
	for _, sec := range []int64{-1 << 63, -62135596800, 0, 1 << 40, 1<<63 - 1} {
		_, err := webhook.Verify(payload, sign(payload, secret, time.Unix(sec, 0)), []string{secret}, 0, time.Now())
		require.Error(t, err, sec)
	}
}

func TestVerify_Tolerance(t *testing.T) {
	t.Parallel()
	now := time.Now()
	payload := event("evt_1", completed)
	header := sign(payload, secret, now.Add(-time.Hour))
	_, err := webhook.Verify(payload, header, []string{secret}, 2*time.Hour, now)
	require.NoError(t, err, "a queue consumer allows more")
	_, err = webhook.Verify(payload, header, []string{secret}, -time.Hour, now)
	require.Error(t, err, "a negative tolerance is the default")
}

// stripe-go accepts a payload signed with an empty secret.
func TestVerify_NoSecret(t *testing.T) {
	t.Parallel()
	payload := event("evt_1", completed)
	header := sign(payload, "", time.Now())
	for _, secrets := range [][]string{nil, {}, {""}, {" "}, {"whsec_real", "\n"}} {
		ev, err := webhook.Verify(payload, header, secrets, 0, time.Now())
		require.Error(t, err)
		require.Zero(t, ev)
		var rejected *webhook.RejectedError
		require.False(t, errors.As(err, &rejected), "our mistake is not the sender's")
	}
}

func TestVerify_TamperedPayload(t *testing.T) {
	t.Parallel()
	payload := event("evt_1", completed)
	header := sign(payload, secret, time.Now())
	payload[len(payload)-3] = 'x'
	_, err := webhook.Verify(payload, header, []string{secret}, 0, time.Now())
	require.Equal(t, &webhook.RejectedError{Reason: webhook.ReasonSignatureWrong}, err)
	require.EqualError(t, err, "webhook: rejected: signature_wrong")
}

// M28: With an invalid secret every delivery would be answered 400. The errors do not
// contain the value.
func TestVerify_InvalidSecrets(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	payload := event("evt_1", completed)
	for value, says := range map[string]string{
		"sk_live_4eC39HqLyjW": "API key (sk_", "rk_test_4eC39HqLyjW": "API key (rk_",
		"pk_live_4eC39HqLyjW": "API key (pk_", " sk_live_4eC39HqLyjW\n": "API key",
		"4eC39HqLyjWDarjtT1": "does not begin with whsec_", "WHSEC_4eC39HqLyjW": "does not begin with whsec_",
		"\"whsec_4eC39HqLyjW\"": "does not begin",
		"whsec_":                "nothing after", "whsec_4eC39HqLyjW,whsec_DarjtT1zdp7": "comma",
		"whsec_4eC39 HqLyjW": "white space", "whsec_4eC39HqLyjW\nwhsec_DarjtT1zdp7": "white space",
		"whsec_4eC39HqLyjW\x00": "another character", "whsec_4eC39HqLyjW\u200b": "another character",
		"whsec_4eC39HqLyjW'": "another character",
	} {
		for _, secrets := range [][]string{{value}, {secret, value}} {
			_, err := webhook.New(db, secrets, webhook.Options{})
			require.ErrorContains(t, err, says, value)
			require.NotContains(t, err.Error(), "4eC39")
			_, err = webhook.Verify(payload, sign(payload, value, time.Now()), secrets, 0, time.Now())
			require.ErrorContains(t, err, says, value)
			var rejected *webhook.RejectedError
			require.False(t, errors.As(err, &rejected), "a mistake of configuration, not of the sender")
		}
	}
	r, err := webhook.New(db, []string{"\twhsec_other ", secret + "\r\n", secret}, webhook.Options{})
	require.NoError(t, err)
	require.Equal(t, done(webhook.Ignored), send(t, r, payload))
	require.Equal(t, []int64{0, 1, 0}, r.Stats().Secrets)
}
