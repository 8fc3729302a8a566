package testdb

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// settingsVariable names settings that every database has by default, such as
// default_transaction_isolation=serializable; several are separated by semicolons.
const settingsVariable = "TEST_DATABASE_SETTINGS"

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// defaultSettings reads the settings from the environment.
func defaultSettings() ([][2]string, error) {
	var settings [][2]string
	for _, pair := range strings.Split(os.Getenv(settingsVariable), ";") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !settingName.MatchString(name) {
			return nil, fmt.Errorf("%s has %q, which is not name=value", settingsVariable, pair)
		}
		settings = append(settings, [2]string{name, value})
	}
	return settings, nil
}

// applySettings makes the settings the default of the database, and that of our role in
// this database, which Postgres prefers to the database's and to the role's own.
func (s *session) applySettings(ctx context.Context, database string) error {
	for _, setting := range s.settings {
		value := "'" + strings.ReplaceAll(setting[1], "'", "''") + "'"
		for _, target := range []string{`DATABASE "` + database + `"`,
			`ROLE CURRENT_USER IN DATABASE "` + database + `"`} {
			if _, err := s.admin.ExecContext(ctx, `ALTER `+target+` SET `+setting[0]+` = `+value); err != nil {
				return fmt.Errorf("set %s of %s: %w", setting[0], database, err)
			}
		}
	}
	return nil
}
