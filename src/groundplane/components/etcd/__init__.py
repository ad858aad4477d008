"""etcd: its members, what each of them sees, and how one that never began may begin."""
