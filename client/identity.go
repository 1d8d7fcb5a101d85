package client

import (
	"fmt"
	"os"
)

// BatchIdentity says who this process is, in the words of whoever started it: slurm:CLUSTER:JOB[_TASK].PROC@HOST in a
// job of SLURM, k8s:POD in Kubernetes, else HOST:PID.
func BatchIdentity() string { return identity(os.Getenv, os.Hostname, os.Getpid()) }

func identity(env func(string) string, hostname func() (string, error), pid int) string {
	host, err := hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	if job := first(env, "SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID"); job != "" {
		if task := env("SLURM_ARRAY_TASK_ID"); task != "" {
			job += "_" + task
		}
		if proc := env("SLURM_PROCID"); proc != "" {
			job += "." + proc
		}
		cluster := env("SLURM_CLUSTER_NAME")
		return fmt.Sprintf("slurm:%s:%s@%s", cluster, job, host)
	}
	if env("KUBERNETES_SERVICE_HOST") != "" {
		return "k8s:" + orElse(first(env, "POD_NAME", "HOSTNAME"), host)
	}
	return fmt.Sprintf("%s:%d", host, pid)
}

// first returns the first variable that is set.
func first(env func(string) string, names ...string) string {
	for _, name := range names {
		if v := env(name); v != "" {
			return v
		}
	}
	return ""
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
