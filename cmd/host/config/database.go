package config

import (
	"net/url"
	"strings"

	"github.com/lib/pq"
)

const urlShape = "it has the form postgres://user:password@host:5432/database, with %40 for @, %2F for / and %23 for # in a password"

// databaseURL completes the URL for lib/pq:
//
//   - sslmode=prefer, as psql does, where nothing is said: TLS when the server has it. lib/pq alone demands it.
//   - binary_parameters=yes: one round trip fewer for each statement, and it works behind a pooler in transaction mode.
//   - connect_timeout=5 seconds: a host that swallows packets is given up in bounded time.
//   - target_session_attrs=read-write where there are several hosts: of a primary and its standby only the primary will do, whichever that is now.
//
// The problems it notes never quote the URL, because it has the password in it.
func databaseURL(raw string, environ map[string]string, problems *Problems) string {
	const name = "DATABASE_URL"
	u, err := url.Parse(raw)
	if several(raw) {
		problems.add(name, "names several hosts before the path", "write them as postgres://user:password@/database?host=a,b&port=5432,5432&target_session_attrs=read-write")
		return ""
	}
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		problems.add(name, "is not a URL", urlShape)
		return ""
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		problems.add(name, "does not begin with postgres://", urlShape)
		return ""
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		problems.add(name, "has a malformed query", urlShape)
		return ""
	}
	// sslrootcert=system alone makes the driver verify everything; saying prefer would forbid that.
	if !query.Has("sslmode") && environ["PGSSLMODE"] == "" && query.Get("sslrootcert") != "system" {
		query.Set("sslmode", "prefer")
	}
	if !query.Has("binary_parameters") {
		query.Set("binary_parameters", "yes")
	}
	if !query.Has("connect_timeout") && environ["PGCONNECT_TIMEOUT"] == "" {
		query.Set("connect_timeout", "5")
	}
	u.RawQuery = query.Encode()
	// The driver also reads the variables that psql reads, PGHOST say.
	cfg, err := pq.NewConfig(u.String())
	if err != nil {
		problems.add(name, "is refused by the driver ("+redact(err.Error(), u)+")", urlShape)
		return ""
	}
	switch attrs := cfg.TargetSessionAttrs; {
	case attrs == pq.TargetSessionAttrsReadWrite || attrs == pq.TargetSessionAttrsPrimary:
	case len(cfg.Multi) == 0 && (attrs == "" || attrs == pq.TargetSessionAttrsAny):
	case attrs == "":
		query.Set("target_session_attrs", string(pq.TargetSessionAttrsReadWrite))
		u.RawQuery = query.Encode()
	default:
		problems.add(name, "has target_session_attrs="+string(attrs)+", which leads to servers that cannot be written to", "make it read-write")
		return ""
	}
	return u.String()
}

// several tells whether the part between // and the path has a comma in it. Such a URL works in psql, but not here.
func several(raw string) bool {
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return false
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return strings.Contains(rest[strings.LastIndex(rest, "@")+1:], ",")
}

// redact takes the password out of a driver's message. None is known to have it in, and none should get the chance.
func redact(message string, u *url.URL) string {
	password, ok := u.User.Password()
	if !ok || password == "" {
		return message
	}
	return strings.ReplaceAll(strings.ReplaceAll(message, password, "xxxxx"), url.QueryEscape(password), "xxxxx")
}
