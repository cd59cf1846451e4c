package temporald

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

const (
	loopbackIP  = "127.0.0.1"
	serverName  = "localhost" // in the certificates of the frontend and of the services among each other
	clusterName = "active"
	clusterID   = "5b8d4a52-6d2e-4c27-9d3f-0c9f4b1a7e10" // any UUID
	storeName   = "sqlite"
)

func address(cfg system.TemporalConfig, service string) string {
	return net.JoinHostPort(loopbackIP, strconv.Itoa(cfg.Ports[service]))
}

// starting is how long after its start a server gets what it lacks from those that use it: search attributes.
const starting = time.Minute

// tuning: by default a queue of a shard is polled at most 20 times a second, which adds 40 ms to every hop on a server
// with one shard, and a task queue has four partitions, which gives tails of seconds on one with few pollers.
// An unknown key would be taken in silence, hence the server's own names.
func tuning() *dynamicconfig.MemoryClient {
	tuned := dynamicconfig.NewMemoryClient()
	for key, value := range map[dynamicconfig.Key]any{
		dynamicconfig.TransferProcessorMaxPollRPS.Key():         2000,
		dynamicconfig.TimerProcessorMaxPollRPS.Key():            2000,
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// By default 512 at once: on the one connection to SQLite they wait for each other until their 3 s are over, are begun
		// anew, and on a busy machine little else is done.
		dynamicconfig.TransferProcessorSchedulerWorkerCount.Key():   8,
		dynamicconfig.TimerProcessorSchedulerWorkerCount.Key():      8,
		dynamicconfig.VisibilityProcessorSchedulerWorkerCount.Key(): 4,
		// A bound that a test reaches in seconds; by default 10,000. A sync continues as new after 500.
		dynamicconfig.MaximumSignalsPerExecution.Key(): 1000,
		dynamicconfig.EnableNexus.Key():                false, // would need the HTTP API, which is off
		// As in Temporal's development server: its default of 10 lists a second is for one of many instances.
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 100,
	} {
		tuned.OverrideValue(key, value)
	}
	// New search attributes can be used after the next refresh, by default after 2 s, and all that starts a system waits for
	// it. Later on it would be most of what an idle server does.
	byDefault := tuned.OverrideSetting(dynamicconfig.NamespaceCacheRefreshInterval, 200*time.Millisecond)
	time.AfterFunc(starting, byDefault)
	return tuned
}

// serverConfig has no internal frontend: that one would trust whoever connects. Temporal's own workers come through
// the normal frontend with a certificate of their own, and history and matching take only certificates of the
// internode CA.
func serverConfig(cfg system.TemporalConfig, sql *config.SQL) *config.Config {
	conf := &config.Config{
		Log:         log.Config{Stdout: true, Level: "warn"},
		Persistence: config.Persistence{DefaultStore: storeName, VisibilityStore: storeName, NumHistoryShards: 1, DataStores: map[string]config.DataStore{storeName: {SQL: sql}}},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address(cfg, "frontend"), ClusterID: clusterID},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: address(cfg, "frontend")},
		Services:            map[string]config.Service{},
	}
	for _, name := range []string{"frontend", "history", "matching", "worker"} {
		conf.Services[name] = config.Service{RPC: config.RPC{GRPCPort: cfg.Ports[name], BindOnIP: loopbackIP}}
	}
	conf.Global.Membership.MaxJoinDuration = 30 * time.Second
	conf.Global.Membership.BroadcastAddress = loopbackIP
	conf.Global.TLS = config.RootTLS{
		Frontend: config.GroupTLS{Server: serverTLS(cfg.Frontend, cfg.CA)},
		SystemWorker: config.WorkerTLS{
			CertFile: cfg.SystemWorker.Cert, KeyFile: cfg.SystemWorker.Key, Client: clientTLS(cfg.CA),
		},
		Internode: config.GroupTLS{Server: serverTLS(cfg.Internode, cfg.InternodeCA), Client: clientTLS(cfg.InternodeCA)},
	}
	conf.Archival.History.State, conf.Archival.Visibility.State = "disabled", "disabled"
	conf.NamespaceDefaults.Archival.History.State, conf.NamespaceDefaults.Archival.Visibility.State = "disabled", "disabled"
	return conf
}

func serverTLS(pair system.KeyPair, ca string) config.ServerTLS {
	return config.ServerTLS{CertFile: pair.Cert, KeyFile: pair.Key, ClientCAFiles: []string{ca}, RequireClientAuth: true}
}

func clientTLS(ca string) config.ClientTLS {
	return config.ClientTLS{ServerName: serverName, RootCAFiles: []string{ca}}
}

// prepareDatabase makes schema and namespace in a new database. WAL with synchronous=normal halves the latency and
// loses at most the last commits when the machine (not the process) crashes.
func prepareDatabase(cfg system.TemporalConfig) (*config.SQL, error) {
	sql := &config.SQL{
		PluginName: sqliteplugin.PluginName, DatabaseName: cfg.Database,
		ConnectAttributes: map[string]string{"mode": "rwc", "journal_mode": "wal", "synchronous": "normal"},
	}
	ready := cfg.Database + ".ready" // a schema that was being made when the process was killed is made anew
	if _, err := os.Stat(ready); err != nil {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.RemoveAll(cfg.Database + suffix); err != nil {
				return nil, err
			}
		}
		if err := sqliteschema.SetupSchema(sql); err != nil {
			return nil, fmt.Errorf("make Temporal's schema in %s: %w", cfg.Database, err)
		}
	}
	ns, err := sqliteschema.NewNamespaceConfig(clusterName, cfg.Namespace, false, nil)
	if err != nil {
		return nil, err
	}
	ns.Detail.Config.Retention = durationpb.New(time.Duration(cfg.RetentionDays) * 24 * time.Hour)
	if err := sqliteschema.CreateNamespaces(sql, ns); err != nil {
		return nil, fmt.Errorf("make the namespace %s: %w", cfg.Namespace, err)
	}
	return sql, os.WriteFile(ready, nil, 0o600)
}
