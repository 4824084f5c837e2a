# tests/sweep/slurm.bash -- a Slurm cluster of this machine alone, for one test: munged, slurmctld and slurmd, with all files
# in one folder. The node has two cores. Partition `high` preempts `low`.

# slurm_missing: prints what is not installed; fails if nothing is missing.
slurm_missing() {
    local program missing=""
    for program in munged slurmctld slurmd sbatch scontrol; do
        PATH=$PATH:/usr/sbin command -v $program >/dev/null || missing+=" $program"
    done
    [ -n "$missing" ] && echo "$missing"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# slurm_write_conf DIR
slurm_write_conf() {
    local host user
    host=$(hostname -s) user=$(id -un)
    cat >"$1/slurm.conf" <<CONF
ClusterName=cleave$$
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$1/munge.socket,cred_expire=5
StateSaveLocation=$1/state
SlurmdSpoolDir=$1/spool
SlurmctldPidFile=$1/slurmctld.pid
SlurmdPidFile=$1/slurmd.pid
SlurmctldLogFile=$1/slurmctld.log
SlurmdLogFile=$1/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
KillWait=30
MinJobAge=600
NodeName=$host NodeAddr=127.0.0.1 Port=$(free_port) CPUs=2 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 GraceTime=60 PreemptMode=REQUEUE MaxTime=INFINITE State=UP
PartitionName=high Nodes=$host PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
CONF
}

# slurm_start DIR: exports SLURM_CONF. DIR should be short: the path of a socket has at most 107 characters.
slurm_start() {
    export PATH=$PATH:/usr/sbin SLURM_CONF=$1/slurm.conf
    mkdir -p "$1/state" "$1/spool"
    chmod 755 "$1"
    head -c 1024 /dev/urandom >"$1/munge.key"
    chmod 400 "$1/munge.key"
    munged --force --key-file="$1/munge.key" --socket="$1/munge.socket" --pid-file="$1/munge.pid" \
        --log-file="$1/munge.log" --seed-file="$1/munge.seed" --num-threads=2 3>&- || return 1
    slurm_write_conf "$1"
    slurmctld 3>&- || return 1
    slurmd 3>&- || return 1
    for _ in $(seq 300); do
        [ "$(sinfo --noheader --format=%t --partition=low 2>/dev/null)" = idle ] && return
        sleep 0.1
    done
    cat "$1"/*.log
    return 1
}

# slurm_stop DIR: stops what slurm_start started, by the process numbers in DIR.
slurm_stop() {
    local name pid
    scancel --full --signal=KILL --user="$(id -un)" 2>/dev/null || true
    for name in slurmd slurmctld munge; do
        pid=$(cat "$1/$name.pid" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
    done
}
