package temporald

import (
	"fmt"

	"go.temporal.io/server/common/authorization"
)

// claimMapper turns the common name of a client certificate into Temporal's claims. Temporal compares a role with the
// one that a call needs as numbers, so a role includes those below it; workers poll with the writer's.
type claimMapper struct {
	roles     map[string]string // common name → role, see system.TemporalConfig
	namespace string
}

// GetClaims refuses a certificate whose name has no role, even though the CA signed it.
func (m claimMapper) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	if info.TLSSubject == nil {
		return nil, fmt.Errorf("no client certificate")
	}
	name := info.TLSSubject.CommonName
	claims := &authorization.Claims{Subject: name}
	switch m.roles[name] {
	case "operator":
		claims.System = authorization.RoleAdmin
	case "primary": // admin: it makes the search attributes of its namespace
		claims.Namespaces = map[string]authorization.Role{m.namespace: authorization.RoleAdmin}
	case "secondary":
		claims.Namespaces = map[string]authorization.Role{
			m.namespace: authorization.RoleWorker | authorization.RoleReader | authorization.RoleWriter,
		}
	case "reader":
		claims.System = authorization.RoleReader
	default:
		return nil, fmt.Errorf("the certificate name %q has no role", name)
	}
	return claims, nil
}
