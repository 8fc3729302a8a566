package imports

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/booking-platform/booking-platform"

// libraries lists what each library may link besides the standard library, directly or by
// way of others: packages of this module with what those may link, and paths of modules.
// All but health may link plumbing. A new library needs a row, and so does a new
// dependency: see docs/DECISIONS/0001.
var libraries = map[string][]string{
	"api": {"auth", "booking", "booking/calendar", "locale", "payments", "webhook"},
	"auth": {"github.com/alexedwards/argon2id", "github.com/google/uuid", "golang.org/x/crypto",
		"golang.org/x/sys"},
	"booking":              {"github.com/google/uuid", "github.com/jmoiron/sqlx"},
	"booking/calendar":     {"booking", "github.com/arran4/golang-ical"},
	"booking/resourcefile": {"booking", "go.yaml.in/yaml"},
	"customers":            {"auth", "booking", "notify", "payments", "webhook"},
	"health":               nil,
	"internal/periodic":    nil,
	"internal/pg":          nil,
	"internal/ratelimit":   nil,
	"internal/valid":       nil,
	"locale":               {"booking"},
	"migrations": {"github.com/mfridman/interpolate", "github.com/pressly/goose", "github.com/sethvargo/go-retry",
		"go.uber.org/multierr", "golang.org/x/sync"},
	"notify": nil,
	"pages":  {"auth", "booking", "locale", "payments", "webhook"},
