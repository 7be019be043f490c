# Stands for the agent's installer in boot_test.sh: notes each start.
cat /proc/sys/kernel/random/boot_id >>/var/log/agent-starts
