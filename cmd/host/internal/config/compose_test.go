package config_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// setByCompose are the variables that docker-compose.yml sets itself, whatever .env has.
var setByCompose = map[string]string{
	"BIND_ADDRESS": "0.0.0.0",
	"DATA_DIR":     "/data",
}

// M11: docker-compose.yml passes on every variable that the host reads, and .env.example
// lists them all.
func TestCompose_PassesEveryVariable(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../../../docker-compose.yml")
	require.NoError(t, err)
	var compose struct {
		Services struct {
			Backend struct{ Environment map[string]string }
		}
	}
	require.NoError(t, yaml.Unmarshal(file, &compose))
	passed := compose.Services.Backend.Environment
	example, err := os.ReadFile("../../../../.env.example")
	require.NoError(t, err)

	read := config.Variables()
	require.Greater(t, len(read), 25)
	for _, name := range read {
		require.Contains(t, passed, name, "docker-compose.yml does not pass it")
		if value, fixed := setByCompose[name]; fixed {
			require.Equal(t, value, passed[name])
		} else {
			// Compose 1.29 does not substitute inside a default, so a value has one
			// variable, its own.
			require.Regexp(t, `^\$\{`+name+`:-[^$]*\}$`, passed[name])
		}
		require.Regexp(t, `(?m)^`+name+`=`, string(example), "%s is not in .env.example", name)
	}
	for name := range passed {
		require.Contains(t, read, name, "docker-compose.yml passes what the host does not read")
	}
	// What .env.example has is read by the host or by compose, and what compose reads is
	// there.
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(string(file), -1) {
		used[m[1]] = true
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=`).FindAllStringSubmatch(string(example), -1) {
		named[m[1]] = true
		require.True(t, used[m[1]] || setByCompose[m[1]] != "", "%s of .env.example does nothing in compose", m[1])
	}
	for name := range used {
		// These are the build's: networks without the public proxies set them.
		if name != "GOPROXY" && name != "GOSUMDB" && name != "GOFLAGS" && name != "VERSION" {
			require.True(t, named[name], "compose reads %s, which is not in .env.example", name)
		}
	}
}

// M11: An empty .env and a copy of .env.example are valid configurations.
func TestCompose_StartsWithoutSettings(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../../../docker-compose.yml")
	require.NoError(t, err)
	var compose struct {
		Services struct {
			Backend struct{ Environment map[string]string }
		}
	}
	require.NoError(t, yaml.Unmarshal(file, &compose))
	example, err := os.ReadFile("../../../../.env.example")
	require.NoError(t, err)
	copied := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(example), -1) {
		copied[m[1]] = m[2]
	}
	for name, env := range map[string]map[string]string{"none": {}, "copied": copied,
		"NODE_ENV": {"NODE_ENV": "production"}} {
		environ := map[string]string{}
		for variable, value := range compose.Services.Backend.Environment {
			environ[variable] = substituted(value, env)
		}
		c, problems := config.Read(environ)
		if name == "NODE_ENV" {
			require.True(t, c.Production)
			require.NotEmpty(t, problems, "production lacks its secrets")
			continue
		}
		require.Empty(t, problems, name)
		require.False(t, c.Production)
		require.Contains(t, c.DatabaseURL, "@db:5432/booking_platform")
		require.Equal(t, "/data", c.DataDir)
	}
}

var substitution = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// substituted expands a value as Compose does: an empty variable has its default.
func substituted(value string, env map[string]string) string {
	return substitution.ReplaceAllStringFunc(value, func(s string) string {
		m := substitution.FindStringSubmatch(s)
		if set := env[m[1]]; set != "" {
			return set
		}
		return m[2]
	})
}
