package system

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/crypto/bcrypt"
)

// Streams behind the product's buckets (internal/broker): key-value buckets are KV_<name>, object stores OBJ_<name>.
const (
	zonesStream       = "KV_pdns-zones"
	snapshotsStream   = "OBJ_pdns-snapshots"
	secondariesStream = "KV_pdns-secondaries"
)

// natsUser is a user of the NATS server; one without lists may do everything.
type natsUser struct {
	name               string
	publish, subscribe []string
}

func natsUsers() []natsUser {
	return []natsUser{
		{name: RolePrimary},
		{name: RolePrimary2},
		{name: RoleOperator},
		// Another program may tell of changes, and read nothing: not the key with which primaries prove their events.
		{name: RoleProgram, publish: []string{"zone.add", "zone.modified", "zone.delete"}, subscribe: []string{"_INBOX.>"}},
		secondaryUser(RoleSecondary1),
		secondaryUser(RoleSecondary2),
	}
}

// secondaryUser may read zone content and the roster, and write its own roster entries: the key that is its ID, and
// keys below it. It must not be able to put zone content before other secondaries.
//
// What remains open: a JetStream consumer delivers to a subject that its maker chooses, so a secondary could have
// stored messages delivered to a subject where others listen. It cannot change a stream with that: a server refuses
// a delivery subject that its own stream takes in, and content cannot be chosen, only repeated.
func secondaryUser(id string) natsUser {
	publish := []string{
		"$JS.API.INFO",
		"$KV.pdns-secondaries." + id,
		"$KV.pdns-secondaries." + id + ".>",
	}
	for _, stream := range []string{zonesStream, snapshotsStream, secondariesStream} {
		publish = append(publish,
			"$JS.API.STREAM.INFO."+stream,
			"$JS.API.STREAM.MSG.GET."+stream,
			"$JS.API.DIRECT.GET."+stream,
			"$JS.API.DIRECT.GET."+stream+".>",
			"$JS.API.CONSUMER.CREATE."+stream,
			"$JS.API.CONSUMER.CREATE."+stream+".>",
			"$JS.API.CONSUMER.INFO."+stream+".*",
			"$JS.API.CONSUMER.DELETE."+stream+".*",
			"$JS.API.CONSUMER.MSG.NEXT."+stream+".*",
			"$JS.ACK."+stream+".>",
			"$JS.FC."+stream+".>",
		)
	}
	return natsUser{name: id, publish: publish, subscribe: []string{"_INBOX.>"}}
}

func prepareNATS(_ context.Context, s *System) error {
	var users strings.Builder
	for _, u := range natsUsers() {
		password, err := s.secret("nats-" + u.name)
		if err != nil {
			return err
		}
		// The least cost: the passwords are 128 random bits, and every connection pays for the comparison.
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			return err
		}
		fmt.Fprintf(&users, "    { user: %q, password: %q", u.name, hash)
		if u.publish != nil {
			fmt.Fprintf(&users, ", permissions: { publish: [%s], subscribe: [%s] }", quoted(u.publish), quoted(u.subscribe))
		}
		users.WriteString(" }\n")
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	config := fmt.Sprintf(`server_name: stack
listen: "127.0.0.1:%d"
jetstream { store_dir: %q }
tls { cert_file: %q, key_file: %q, ca_file: %q, timeout: 5 }
authorization {
  users = [
%s  ]
}
`, st.Ports["nats.client"], s.path("data", "nats"), s.certPath("nats"), s.keyPath("nats"), s.certPath("ca"), users.String())
	return writeSecretFile(s.path("config", "nats.conf"), []byte(config))
}

func quoted(list []string) string {
	items := make([]string, len(list))
	for i, item := range list {
		items[i] = fmt.Sprintf("%q", item)
	}
	return strings.Join(items, ", ")
}

func commandNATS(s *System) (argv []string, err error) {
	return []string{s.programs.stack, "serve", "nats", "--config", s.path("config", "nats.conf")}, nil
}

func readyNATS(ctx context.Context, s *System) error {
	conn, err := s.ConnectNATS(RoleOperator)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	_, err = js.AccountInfo(ctx)
	return err
}

// ConnectNATS connects as the user of a role (see natsUsers). The caller closes the connection.
func (s *System) ConnectNATS(role string, opts ...nats.Option) (*nats.Conn, error) {
	password, err := s.secret("nats-" + role)
	if err != nil {
		return nil, err
	}
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	opts = append([]nats.Option{nats.UserInfo(role, password), nats.RootCAs(s.certPath("ca"))}, opts...)
	conn, err := nats.Connect(natsURL(st), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS as %s: %w", role, err)
	}
	return conn, nil
}

func natsURL(st *state) string { return "tls://" + loopback(st.Ports["nats.client"]) }
