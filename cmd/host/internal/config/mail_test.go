package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

func TestLoad_Mail(t *testing.T) {
	t.Parallel()
	c, err := config.Load(with(produced, "SMTP_URL", "smtps://studio:p%40ss@mail.example.com",
		"MAIL_FROM", "Studio <hello@example.com>", "MAIL_OWNER", "owner@example.com, second@example.com"))
	require.NoError(t, err)
	require.Equal(t, "smtps://studio:p%40ss@mail.example.com", c.SMTPURL)
	require.Equal(t, "Studio <hello@example.com>", c.MailFrom)
	require.Equal(t, []string{"owner@example.com", "second@example.com"}, c.MailOwners)
	require.Equal(t, "en", c.MailOwnerLanguage)
	c, err = config.Load(with(produced, "MAIL_OWNER_LANGUAGE", "fr"))
	require.NoError(t, err)
	require.Equal(t, "fr", c.MailOwnerLanguage)
}

func TestLoad_MailProblems(t *testing.T) {
	t.Parallel()
	good := []string{"SMTP_URL", "smtp://u:hunter2@mail.example.com", "MAIL_FROM", "hello@example.com"}
	for name, changes := range map[string][]string{
		"MAIL_FROM":   {"MAIL_FROM", ""},
		"MAIL_FROM ":  {"MAIL_FROM", "Studio"},
		"MAIL_FROM  ": {"MAIL_FROM", "hello@example"},
		"MAIL_OWNER":  {"MAIL_OWNER", "owner@example.com,Owner <o@example.com>"},
		"SMTP_URL":    {"SMTP_URL", "mail.example.com"},

		"MAIL_OWNER_LANGUAGE": {"MAIL_OWNER_LANGUAGE", "de"},
		"SMTP_URL ":           {"SMTP_URL", "smtp://u:hunter2@mail.example.com?tls=off"},
		"SMTP_URL  ":          {"SMTP_URL", "smtp://hunter2@mail.example.com"},
	} {
		_, err := config.Load(with(produced, append(good, changes...)...))
		var problems config.Problems
		require.ErrorAs(t, err, &problems, name)
		require.Len(t, problems, 1, "%v", err)
		require.Equal(t, strings.TrimSpace(name), problems[0].Name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
