package config

import (
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/lib/pq"
)

const urlShape = "it has the form postgres://user:password@host:5432/database, with %40 for @, %2F for / and %23 for # in a password"

// databaseURL completes the URL for lib/pq:
//
//   - What libpq or another tool knows and lib/pq does not is translated, left out with a
//     warning, or a problem: see [parameters].
//   - sslmode=prefer, as psql does, where nothing is said: TLS when the server has it.
//     lib/pq alone demands it.
//   - binary_parameters=yes: one round trip fewer for each statement, and it works behind
//     a pooler in transaction mode.
//   - connect_timeout=5 seconds: a host that swallows packets is given up in bounded
//     time.
//   - target_session_attrs=read-write where there are several hosts: of a primary and its
//     standby only the primary will do, whichever that is now.
//
// The problems it notes never quote the URL, because it has the password in it.
func databaseURL(raw string, problems *Problems) (complete string, warnings []string) {
	const name = "DATABASE_URL"
	if several(raw) {
		problems.add(name, "names several hosts before the path", "write them as postgres://user:password@/database?host=a,b&port=5432,5432&target_session_attrs=read-write")
		return "", nil
	}
	u, err := url.Parse(socketHost(raw))
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		problems.add(name, "is not a URL", urlShape)
		return "", nil
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		problems.add(name, "does not begin with postgres://", urlShape)
		return "", nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		problems.add(name, "has a malformed query", urlShape)
		return "", nil
	}
	before := len(*problems)
	params := parameters{query: query, problems: problems}
	params.settle()
	if len(*problems) > before {
		return "", nil
	}
	// sslrootcert=system alone makes the driver verify everything; saying prefer would
	// forbid that.
	if !query.Has("sslmode") && query.Get("sslrootcert") != "system" {
		query.Set("sslmode", "prefer")
	}
	if !query.Has("binary_parameters") {
		query.Set("binary_parameters", "yes")
	}
	if !query.Has("connect_timeout") {
		query.Set("connect_timeout", "5")
	}
	u.RawQuery = query.Encode()
	cfg, err := pq.NewConfig(u.String())
	if err != nil {
		problems.add(name, "is refused by the driver ("+redact(err.Error(), u)+")", urlShape)
		return "", nil
	}
	switch attrs := cfg.TargetSessionAttrs; {
	case attrs == pq.TargetSessionAttrsReadWrite || attrs == pq.TargetSessionAttrsPrimary:
	case len(cfg.Multi) == 0 && (attrs == "" || attrs == pq.TargetSessionAttrsAny):
	case attrs == "":
		query.Set("target_session_attrs", string(pq.TargetSessionAttrsReadWrite))
		u.RawQuery = query.Encode()
	default:
		problems.add(name, "has target_session_attrs="+string(attrs)+
			", which leads to servers that cannot be written to", "make it read-write")
		return "", nil
	}
	if warning := params.warning(); warning != "" {
		warnings = append(warnings, warning)
	}
	return u.String(), warnings
}

// socketURL is a URL whose host is the folder of a socket, as libpq and Google Cloud
// write it: its slashes are escaped, which Go's parser refuses.
var socketURL = regexp.MustCompile(`^(postgres(?:ql)?://(?:[^/?#@]*@)?)(%2[Ff][^/?#:@]*)((?::\d+)?/[^?#]*)(?:\?([^#]*))?$`)

// socketHost moves a socket's folder to the parameter host, and leaves every other URL as
// it is.
func socketHost(raw string) string {
	parts := socketURL.FindStringSubmatch(raw)
	if parts == nil {
		return raw
	}
	query := "host=" + parts[2]
	if parts[4] != "" {
		query += "&" + parts[4]
	}
	return parts[1] + parts[3] + "?" + query
}

// unreadVariables are those of libpq's variables that are set. None is read, so that what
// a shell or a service happens to have cannot lead elsewhere, or loosen TLS, unseen.
func unreadVariables(environ map[string]string) []string {
	var names []string
	config := reflect.TypeFor[pq.Config]()
	for i := range config.NumField() {
		name := config.Field(i).Tag.Get("env")
		if strings.HasPrefix(name, "PG") && strings.TrimSpace(environ[name]) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// several tells whether the part between // and the path has a comma in it. Such a URL
// works in psql, but not here.
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

// redact takes the password out of a driver's message. None is known to have it in, and
// none should get the chance.
func redact(message string, u *url.URL) string {
	password, ok := u.User.Password()
	if !ok || password == "" {
		return message
	}
	return strings.ReplaceAll(strings.ReplaceAll(message, password, "xxxxx"), url.QueryEscape(password), "xxxxx")
}
