// Package migrations creates the tables of booking-platform in a database that may
// already belong to another program.
//
// The problem is that a service which embeds a package of this module may already have
// tables called users, sessions, payments and bookings, and a migration tool. Two tools
// that share a version table silently skip each other's files, two that share an advisory
// lock wait for each other, and replicas that start at once apply a file twice.
//
// So everything is in the schema booking_platform, which every statement names; each
// package with tables has a [Set] of numbered files with its own version table, under a
// lock of this package; and a service applies only the sets of the packages it imports:
//
//	applied, err := migrations.Up(ctx, db, migrations.Webhook)
//
// To use another tool, take the files from [FS]. They are in goose's format, one folder
// per set. A file runs in one transaction, unless it begins with "-- +goose NO
// TRANSACTION": such a file builds indexes concurrently, statement by statement, and
// after a failure is run again from its beginning. Each file records its version, so
// [Check], which reports whether this code can work with the schema, depends on no tool.
//
// The extension btree_gist, which the set Booking needs, is created in the schema public;
// an existing one is used, in any schema. If the role may create neither, [Up] says so,
// and a superuser runs once:
//
//	CREATE SCHEMA booking_platform AUTHORIZATION <role>;
//	CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
//
// The role that runs [Up] owns the tables: always use the same one. A service that runs
// as a role with fewer rights calls [Check] at startup instead, and needs these grants by
// the owner, after each Up that applied something:
//
//	GRANT USAGE ON SCHEMA booking_platform TO <service>;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA booking_platform TO <service>;
//
// Down migrations are left out.
package migrations
