// Package migrations creates the tables of booking-platform in a database that may
// already belong to another program.
//
// The problem is that a service which embeds a package of this module may already have
// tables called users, sessions, payments and bookings, and a migration tool with a
// version table and a lock. Two tools that share a version table silently skip each
// other's files, two that share an advisory lock wait for each other, and several
// replicas that start at once apply the same file twice.
//
// So everything is in the schema booking_platform, which every statement names; each
// package that has tables has a [Set] of numbered files with its own version table, under
// a lock of this package; and a service applies only the sets of the packages it imports:
//
//	applied, err := migrations.Up(ctx, db, migrations.Webhook)
//
// To use another tool, take the files from [FS]. They are in goose's format, one folder
// per set. Each file runs in one transaction, unless it begins with "-- +goose NO
// TRANSACTION": such a file builds indexes concurrently, statement by statement, and
// after a failure is run again from its beginning. [Check] reports whether this code can
// work with the schema, and depends on no tool, because each file records its version.
//
// The extension btree_gist, which the set Booking needs, is created in the schema public;
// an existing one is used, in any schema. If the role may not create a schema or an
// extension, [Up] says so, and a superuser runs once:
//
//	CREATE SCHEMA booking_platform AUTHORIZATION <role>;
//	CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
//
// The role that runs [Up] owns the tables: always use the same one. A service that runs
// as a role with fewer rights calls [Check] at startup instead of Up, and needs these
// grants by the owner, after each Up that applied something:
//
//	GRANT USAGE ON SCHEMA booking_platform TO <service>;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA booking_platform TO <service>;
//
// The package leaves out down migrations, and tables other than those of this module.
package migrations
